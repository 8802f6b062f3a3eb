import type { ForgeError } from '@forge/errors';
import type { OnRefused } from './transport';

/** Tells of an error only when it lies in what the peer sent. */
export function tellingRefusals(onRefused: OnRefused | undefined): OnRefused {
  return (why) => {
    if (onRefused !== undefined && isPeersFault(why)) onRefused(why);
  };
}

function isPeersFault({ code }: ForgeError): boolean {
  return code.startsWith('CONTRACT_') || code === 'CAPACITY_FRAME_TOO_LARGE';
}
