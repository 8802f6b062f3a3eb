// The baseline: frames of a u32 length and msgpackr on a socket, corked per turn of the event loop.
const { Packr } = require('msgpackr');

const packr = new Packr({ useRecords: false });

/** Calls `onMessage` for every message that comes; returns what sends one. */
exports.bareFrames = function bareFrames(socket, onMessage) {
  let rest = Buffer.alloc(0);
  socket.on('data', (bytes) => {
    const all = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    let at = 0;
    while (all.length - at >= 4) {
      const end = at + 4 + all.readUInt32BE(at);
      if (end > all.length) break;
      onMessage(packr.unpack(all.subarray(at + 4, end)));
      at = end;
    }
    rest = all.subarray(at);
  });
  let isCorked = false;
  return (message) => {
    if (!isCorked) {
      isCorked = true;
      socket.cork();
      process.nextTick(() => {
        isCorked = false;
        socket.uncork();
      });
    }
    const body = packr.pack(message);
    const head = Buffer.allocUnsafe(4);
    head.writeUInt32BE(body.length);
    socket.write(head);
    socket.write(body);
  };
};
