// How your own tests see what takes days with a real provider: in Node's test runner, with nothing to install.
//
//   URL=http://127.0.0.1:3000 TOKEN=... node --test rehearsal.test.mjs
//
// Each test has a sandbox account of its own, so the tests run at the same time, and nothing leaves the engine. No test
// sleeps: the engine answers as soon as there is an event, or as soon as the time has passed. docs/sandbox.md says what
// a script can contain.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';

const { URL: base = 'http://127.0.0.1:3000', TOKEN = '' } = process.env;
const DAY = 86_400;

async function call(method, path, body, query = {}) {
  const response = await fetch(`${base}${path}?${new URLSearchParams(query)}`, {
    method,
    headers: { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  const answer = await response.json();
  assert.ok(response.ok, JSON.stringify(answer));
  return answer;
}

// A sandbox account, with a name that no other test has.
class Account {
  name = `test-${randomBytes(6).toString('hex')}`;
  after = 0;

  // Runs a test with a new account, and removes it afterwards.
  static with(run) {
    return async () => {
      const account = new Account();
      const email = `${account.name}@sandbox.example`;
      await call('POST', '/v1/account', { account: account.name, name: 'Test', email, sandbox: true });
      await call('GET', `/v1/account/${account.name}`, undefined, { wait: 'connected' });
      try {
        await run(account);
      } finally {
        await call('DELETE', `/v1/account/${account.name}`);
      }
    };
  }

  // Hands in a message and returns its queueId.
  async submit({ to = 'ada@example.com', ...more } = {}) {
    const body = { to: [{ address: to }], subject: 'Your order', text: 'It is on its way.', ...more };
    return (await call('POST', `/v1/account/${this.name}/submit`, body)).queueId;
  }

  // Tells the provider what to do next; returns once any `advance` has passed.
  script(given) {
    return call('POST', '/v1/sandbox/script', { account: this.name, ...given }, { wait: 50 });
  }

  // The data of the next event of this name, as your program gets it by webhook or websocket.
  async event(name) {
    for (;;) {
      const query = { account: this.name, after: this.after, events: name, limit: 1, wait: 20 };
      const page = await call('GET', '/v1/events', undefined, query);
      this.after = page.next;
      if (page.events.length) return page.events[0].data;
      assert.ok(this.after < page.last, `no ${name} within 20 seconds`);
    }
  }
}

describe('a rehearsal', { concurrency: 4 }, () => {
  test(
    'deferred over three days, then sent',
    Account.with(async (account) => {
      await account.script({ steps: [{ stage: 'rcpt', reply: '451 4.7.1 Greylisted, try again later', times: 9 }] });
      const queueId = await account.submit();
      assert.equal((await account.script({ advance: 4 * DAY })).time.ahead, 0);
      for (let made = 1; made <= 9; made++) {
        assert.equal((await account.event('messageDeliveryError')).job.attemptsMade, made);
      }
      const sent = await account.event('messageSent');
      assert.deepEqual([sent.queueId, sent.sandbox], [queueId, true]);
    }),
  );

  test(
    'in doubt, and decided',
    Account.with(async (account) => {
      await account.script({ steps: [{ fault: 'keepAndCut' }] });
      const queueId = await account.submit({ onDoubt: 'hold' });
      assert.equal((await account.event('messageInDoubt')).queueId, queueId);
      await call('PUT', `/v1/outbox/${queueId}`, { onDoubt: 'fail' });
      assert.equal((await account.event('messageFailed')).inDoubt, true);
    }),
  );

  for (const [kind, type] of [['bounce', 'hard'], ['softBounce', 'soft']]) {
    test(
      `sent, then a ${type} bounce`,
      Account.with(async (account) => {
        const queueId = await account.submit();
        await account.event('messageSent');
        await account.script({ mail: [{ kind, queueId }] });
        const bounce = await account.event('messageBounce');
        assert.deepEqual([bounce.queueId, bounce.bounceType], [queueId, type]);
      }),
    );
  }

  test(
    'answered by a person, and by a program',
    Account.with(async (account) => {
      const queueId = await account.submit();
      await account.event('messageSent');
      await account.script({ mail: [{ kind: 'reply', queueId, text: 'Thank you!' }] });
      const reply = await account.event('messageReply');
      assert.deepEqual([reply.queueId, reply.auto, reply.extractedText], [queueId, false, 'Thank you!']);
      await account.script({ mail: [{ kind: 'outOfOffice', queueId }] });
      assert.equal((await account.event('messageReply')).auto, 'outOfOffice');
    }),
  );

  test(
    'complained about',
    Account.with(async (account) => {
      // A recipient can say the same by its name.
      const queueId = await account.submit({ to: 'complain+ada@sandbox.example' });
      assert.equal((await account.event('messageComplaint')).queueId, queueId);
    }),
  );

  test(
    'a quota that is used up',
    Account.with(async (account) => {
      await account.script({ steps: [{ stage: 'dot', reply: '550 5.4.5 Daily user sending limit exceeded' }] });
      const queueId = await account.submit();
      await account.event('messageDeliveryError');
      assert.equal((await call('GET', `/v1/outbox/${queueId}`)).waitingFor.kind, 'quota');
      await account.script({ advance: DAY });
      assert.equal((await account.event('messageSent')).queueId, queueId);
    }),
  );

  test(
    'a refused login',
    Account.with(async (account) => {
      await account.script({ steps: [{ stage: 'login', reply: '535 5.7.8 Bad credentials', times: 3 }] });
      await account.submit();
      assert.equal((await account.event('messageDeliveryError')).errorCode, 'EAUTH');
      await account.script({ advance: DAY });
      await account.event('messageSent');
    }),
  );

  test(
    'silence',
    Account.with(async (account) => {
      await account.script({ steps: [{ stage: 'rcpt', fault: 'silence' }] });
      await account.submit();
      await account.script({ advance: DAY });
      assert.equal((await account.event('messageDeliveryError')).errorCode, 'ETIMEDOUT');
      await account.event('messageSent');
    }),
  );
});
