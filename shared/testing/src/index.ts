export { hasTlsRedis, startGuardedRedis, type GuardedRedis } from './guarded-redis';
export { startLossyProxy, type LossyProxy } from './lossy-proxy';
export { hasOpenssl, selfSigned } from './self-signed';
export { isRunning, startTestRedis, type TestRedis } from './test-redis';
export { waitFor } from './wait-for';
