export { startLossyProxy, type LossyProxy } from './lossy-proxy';
export { isRunning, startTestRedis, type TestRedis } from './test-redis';
export { waitFor } from './wait-for';
