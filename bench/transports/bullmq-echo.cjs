// Answers the jobs of a queue with their data. Tells by IPC that it is ready.
const { Worker } = require('bullmq');

const { hostname, port } = new URL(process.argv[2]);
const connection = { host: hostname, port: Number(port), maxRetriesPerRequest: null };
const worker = new Worker('echo', (job) => Promise.resolve(job.data), { connection, concurrency: 256 });
worker.waitUntilReady().then(() => process.send('ready'));
process.on('disconnect', () => process.exit(0));
