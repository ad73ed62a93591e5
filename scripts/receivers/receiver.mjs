// A webhook receiver in one file, without anything to install: checks the signature, handles each event once, resumes.
//
//   SECRET=whsec_... node receiver.mjs 8000 seen.json
//
// seen.json holds the number of the last event that was handled, for each account: events come at least once, and in
// order within an account.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { existsSync, readFileSync, renameSync, openSync, writeSync, fsyncSync, closeSync } from 'node:fs';
import { createServer } from 'node:http';

const TOLERANCE = 300; // seconds a signature may be old or ahead
const [port, file] = process.argv.slice(2);
const key = Buffer.from(process.env.SECRET.replace(/^whsec_/, ''), 'base64');
const seen = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};

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
  seen[event.account] = event.seq;
  const out = openSync(`${file}.new`, 'w');
  writeSync(out, JSON.stringify(seen));
  fsyncSync(out);
  closeSync(out);
  renameSync(`${file}.new`, file);
}

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  try {
    if (!verify(request.headers, body)) {
      response.statusCode = 401;
    } else {
      const event = JSON.parse(body);
      if (event.seq > (seen[event.account] ?? 0)) {
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
