// A bare echo: length and msgpack, all answers of a turn in one write. Tells by IPC that it listens.
const { createServer } = require('node:net');
const { bareFrames } = require('./bare-frames.cjs');

const server = createServer((socket) => {
  const send = bareFrames(socket, (message) => send(message));
});
server.listen(process.argv[2], () => process.send('listening'));
process.on('disconnect', () => process.exit(0));
