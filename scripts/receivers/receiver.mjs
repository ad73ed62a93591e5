// A webhook receiver in one file, without anything to install: checks the signature, handles each event once, resumes.
//
//   SECRET=whsec_... node receiver.mjs 8000 seen.txt
//
// SECRET is the secret of the webhook: whsec_ and base64, or any other text. seen.txt holds the numbers of the events
// that were handled. Events come at least once, and in order within an account; one that was parked comes when it is
// retried, behind later ones, so the highest number alone would not do.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { existsSync, readFileSync, openSync, writeSync, fsyncSync } from 'node:fs';
import { createServer } from 'node:http';

const TOLERANCE = 300; // seconds a signature may be old or ahead
const [port, file] = process.argv.slice(2);
if (!/^\d+$/.test(port ?? '') || !file || !process.env.SECRET) {
  console.error(`usage: SECRET=... node ${process.argv[1]} PORT FILE

SECRET is the secret of the webhook: whsec_ and base64, or any other text. FILE holds the events that were handled.`);
  process.exit(1);
}
const key = keyOf(process.env.SECRET);
const seen = new Set(existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1).map(Number) : []);
const out = openSync(file, 'a');

// The bytes behind whsec_, or else the text itself. Node would take what is no base64 for some.
function keyOf(secret) {
  const coded = secret.startsWith('whsec_') ? secret.slice(6) : '';
  const bytes = Buffer.from(coded, 'base64');
  return coded && bytes.toString('base64') === coded ? bytes : Buffer.from(secret);
}

function verify(headers, body) {
  const sent = Number(headers['webhook-timestamp']);
  if (!(Math.abs(Date.now() / 1000 - sent) <= TOLERANCE)) return false;
  const signed = Buffer.concat([Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.`), body]);
  const expected = createHmac('sha256', key).update(signed).digest();
  // One of several is enough, so that secrets can be changed.
  return (headers['webhook-signature'] ?? '').split(' ').some((each) => {
    const given = Buffer.from(each.startsWith('v1,') ? each.slice(3) : '', 'base64');
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
}

// Your part. What it throws is answered with 500, and the event comes again.
function handle(event) {
  console.log(JSON.stringify({ seq: event.seq, event: event.event, account: event.account }));
}

function note(event) {
  writeSync(out, `${event.seq}\n`);
  fsyncSync(out);
  seen.add(event.seq);
}

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  try {
    if (!verify(request.headers, body)) {
      console.error('refused: the signature is not one of this SECRET, or its time is off');
      response.statusCode = 401;
    } else {
      const event = JSON.parse(body);
      // 0 is a test event.
      if (event.seq > 0 && !seen.has(event.seq)) {
        handle(event);
        note(event);
      }
      response.statusCode = 204;
    }
  } catch (error) {
    console.error(error);
    response.statusCode = 500;
  }
  response.end();
});
server.listen(Number(port), '127.0.0.1', () => console.error(`listening on ${server.address().port}`));
