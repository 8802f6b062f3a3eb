import type { Socket } from 'node:net';

export interface BareMessage {
  id: number;
  payload: unknown;
}
export function bareFrames(
  socket: Socket,
  onMessage: (message: BareMessage) => void,
): (message: BareMessage) => void;
