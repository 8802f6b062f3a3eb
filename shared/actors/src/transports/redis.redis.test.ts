import { startTestRedis } from '@forge/testing';
import { RedisTransport } from './redis';
import { transportConformance } from './transport.conformance';

transportConformance('redis', async () => {
  const server = await startTestRedis();
  const transport = new RedisTransport(await server.connect());
  const limits = { killedWithinMs: 2_000, stoppedWithinMs: 2_000 };
  return { transport, peer: { redisUrl: server.url }, ...limits, stop: () => server.stop() };
});
