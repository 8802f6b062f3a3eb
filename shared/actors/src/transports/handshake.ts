import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { ForgeError } from '@forge/errors';
import { errorOf, KIND, malformed, PROTOCOL_VERSION, type Frame } from '../wire/frame';
import type { FrameLink, LinkUser } from '../wire/frame-link';

const MAGIC = 'forge-actors';
const NONCE_BYTES = 32;

/** Largest frame a peer may send before it has said who it is. */
export const MAX_HANDSHAKE_BYTES = 4096;

export type Role = 'caller' | 'listener';

/**
 * Two peers meet: same protocol version, and the same token or none on both sides. Each proves that it knows the token
 * by an HMAC over both nonces and its role, the caller first, so that a listener answers no stranger. The token itself
 * is never sent, and a proof is good for one connection. A bare TCP connection is not protected from changes on the
 * way: that is TLS's part.
 *
 * The link ends with CONTRACT_PROTOCOL_MISMATCH or CONTRACT_UNAUTHORIZED when they do not fit, and the peer is told.
 */
export class Handshake implements LinkUser {
  private readonly nonce = randomBytes(NONCE_BYTES);
  private peerNonce: Uint8Array | null = null;

  constructor(
    private readonly role: Role,
    private readonly token: string | undefined,
    /** Takes the link over, once the peer is known. */
    private readonly onMet: () => void,
    private readonly onFailed: (reason: ForgeError) => void,
  ) {}

  private link!: FrameLink;

  start(link: FrameLink): void {
    this.link = link;
    if (this.role === 'caller') this.sayHello();
  }

  onFrame(frame: Frame): void {
    if (frame[0] === KIND.bye) {
      this.link.end(errorOf(frame), false);
    } else if (frame[0] === KIND.hello && this.peerNonce === null) {
      this.onHello(frame);
    } else if (frame[0] === KIND.proof && this.peerNonce !== null && this.token !== undefined) {
      this.onProof(frame[2]);
    } else {
      throw malformed('a call before it said who it is');
    }
  }

  onRoom(): void {
    // Nothing waits for room.
  }

  onEnd(reason: ForgeError): void {
    // Most other protocols look like an invalid length here.
    this.onFailed(
      reason.code === 'CAPACITY_FRAME_TOO_LARGE' ? malformed('something that is no greeting') : reason,
    );
  }

  private onHello([, , magic, version, nonce, hasToken]: Frame): void {
    if (magic !== MAGIC || !(nonce instanceof Uint8Array) || nonce.length !== NONCE_BYTES)
      throw malformed('a greeting of something else');
    if (version !== PROTOCOL_VERSION) {
      throw new ForgeError(
        'CONTRACT_PROTOCOL_MISMATCH',
        `the ${this.role} speaks version ${PROTOCOL_VERSION} of the actor protocol, its peer ${String(version)}`,
        { role: this.role, version: PROTOCOL_VERSION, peerVersion: version },
      );
    }
    if (hasToken !== (this.token !== undefined)) {
      const listenerHas = (this.role === 'listener') === (this.token !== undefined);
      throw unauthorized(`the ${listenerHas ? 'listener' : 'caller'} has a cluster token, its peer has none`);
    }
    this.peerNonce = nonce;
    if (this.role === 'listener') this.sayHello();
    if (this.token === undefined) this.onMet();
    else if (this.role === 'caller') this.prove();
  }

  private onProof(proof: unknown): void {
    const expected = this.proofOf(this.role === 'caller' ? 'listener' : 'caller');
    const isRight =
      proof instanceof Uint8Array && proof.length === expected.length && timingSafeEqual(proof, expected);
    if (!isRight) throw unauthorized(`the ${this.role} has another cluster token than its peer`);
    if (this.role === 'listener') this.prove();
    this.onMet();
  }

  private sayHello(): void {
    this.link.send([KIND.hello, 0, MAGIC, PROTOCOL_VERSION, this.nonce, this.token !== undefined]);
  }

  private prove(): void {
    this.link.send([KIND.proof, 0, this.proofOf(this.role)]);
  }

  private proofOf(role: Role): Buffer {
    const [caller, listener] =
      this.role === 'caller' ? [this.nonce, this.peerNonce!] : [this.peerNonce!, this.nonce];
    return createHmac('sha256', this.token!)
      .update(`${MAGIC}/${PROTOCOL_VERSION}/${role}/`)
      .update(caller)
      .update(listener)
      .digest();
  }
}

function unauthorized(message: string): ForgeError {
  return new ForgeError('CONTRACT_UNAUTHORIZED', `${message}; give both sides the same FORGE_CLUSTER_TOKEN`);
}
