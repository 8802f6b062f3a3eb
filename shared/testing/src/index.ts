export { startTestRedis, type TestRedis } from './test-redis';
export { waitFor } from './wait-for';
