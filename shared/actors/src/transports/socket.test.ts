import { SocketTransport } from './socket';
import { transportConformance } from './transport.conformance';

const LIMITS = { killedWithinMs: 50, stoppedWithinMs: 1_500 };

transportConformance('unix', () =>
  Promise.resolve({ transport: new SocketTransport(), peer: {}, ...LIMITS }),
);

transportConformance('tcp', () => {
  const socket = { token: 'a token of the cluster' };
  const at = 'tcp://127.0.0.1:0';
  return Promise.resolve({ transport: new SocketTransport(socket), at, peer: { at, socket }, ...LIMITS });
});
