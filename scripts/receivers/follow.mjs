// Follows the event stream and comes back by itself, with nothing to install. Node 22 has WebSocket built in; Node 20
// has it behind a switch:
//
//   TOKEN=... node --experimental-websocket follow.mjs http://127.0.0.1:3000 4711
//
// Prints one JSON line for each event after the number given. Ends when the engine refuses for good (code 1008).

const [base, start] = process.argv.slice(2);
if (!/^https?:/.test(base ?? '') || !process.env.TOKEN || typeof WebSocket === 'undefined') {
  console.error(`usage: TOKEN=... node --experimental-websocket ${process.argv[1]} URL [NUMBER]

Prints each event after NUMBER as one JSON line. URL is the engine's, as http://127.0.0.1:3000.`);
  process.exit(1);
}
let after = Number(start ?? 0);

function connect() {
  const url = new URL('/v1/events/stream', base.replace(/^http/, 'ws'));
  url.search = new URLSearchParams({ after, access_token: process.env.TOKEN });
  const socket = new WebSocket(url);
  socket.onmessage = ({ data }) => {
    const event = JSON.parse(data);
    if (event.stream) return console.error(data);
    after = event.seq;
    console.log(data);
  };
  let left = false;
  const comeBack = () => {
    if (!left) setTimeout(connect, 500);
    left = true;
  };
  socket.onclose = ({ code, reason }) => {
    console.error(`closed: ${code} ${reason}`);
    if (code === 1008) process.exit(1);
    comeBack();
  };
  // A connection that was refused ends with an error, and in Node 20 with nothing else.
  socket.onerror = comeBack;
}

connect();
