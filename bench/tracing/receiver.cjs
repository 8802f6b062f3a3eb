// Takes OTLP over HTTP as a collector does, in a process of its own, and says how much when it is asked.
const { createServer } = require('node:http');

let requests = 0;
let bytes = 0;
const server = createServer((request, response) => {
  request.on('data', (chunk) => (bytes += chunk.length));
  request.on('end', () => {
    requests += 1;
    response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
  });
});
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
process.on('message', () => process.send({ requests, bytes }));
process.on('disconnect', () => process.exit(0));
