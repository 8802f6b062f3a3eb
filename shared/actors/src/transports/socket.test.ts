import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hasOpenssl, selfSigned } from '@forge/testing';
import { lostPeerConformance, type ProcessSetup } from './lost-peer.conformance';
import { SocketTransport } from './socket';
import { transportConformance } from './transport.conformance';

const LIMITS = { killedWithinMs: 50, stoppedWithinMs: 1_500 };

function conformance(name: string, make: () => ProcessSetup): void {
  transportConformance(name, () => Promise.resolve(make()));
  lostPeerConformance(name, () => Promise.resolve(make()));
}

const token = 'a token of the cluster';

conformance('unix', () => ({ transport: new SocketTransport(), peer: {}, ...LIMITS }));

conformance('tcp', () => {
  const at = 'tcp://127.0.0.1:0';
  return { transport: new SocketTransport({ token }), at, peer: { at, socket: { token } }, ...LIMITS };
});

if (hasOpenssl) {
  conformance('tls', () => {
    const socket = { token, tls: selfSignedTls() };
    const at = 'tls://localhost:0';
    return { transport: new SocketTransport(socket), at, peer: { at, socket }, ...LIMITS };
  });

  describe('SocketTransport over TLS', () => {
    it('refuses a listener whose certificate it does not trust', async () => {
      const listener = await new SocketTransport({ token, tls: selfSignedTls() }).listen(
        { call: () => Promise.resolve(null), stream: () => [] as never },
        'tls://localhost:0',
      );
      const stranger = new SocketTransport({ token, tls: { ca: selfSignedTls().cert } });
      await expect(stranger.connect(listener.address)).rejects.toMatchObject({
        code: 'CONTRACT_UNAUTHORIZED',
        message: /certificate of tls:\/\/localhost:\d+ is not trusted/,
      });
      await listener.close();
    });
  });
} else {
  it.todo('tls: openssl, which makes the certificate, is not there');
}

/** A certificate for localhost that is its own authority. */
function selfSignedTls(): { cert: string; key: string; ca: string } {
  const dir = mkdtempSync(join(tmpdir(), 'forge-tls-'));
  const { certFile, keyFile } = selfSigned(dir);
  const cert = readFileSync(certFile, 'utf8');
  const pair = { cert, key: readFileSync(keyFile, 'utf8'), ca: cert };
  rmSync(dir, { recursive: true });
  return pair;
}
