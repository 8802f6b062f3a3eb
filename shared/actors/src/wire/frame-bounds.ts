import { EXTENSION, MAX_ELEMENTS, type ValueBounds } from '@forge/contracts';
import { ForgeError } from '@forge/errors';

/** How much one frame may be. */
export interface FrameBounds extends ValueBounds {
  /** Largest frame, in bytes behind its length. */
  maxFrameBytes: number;
}

/** Deepest nesting of a frame. */
export const MAX_DEPTH = 512;

/** Largest frame between processes, in bytes behind its length. */
export const MAX_FRAME_BYTES = 64 * 2 ** 20;

const ALL: readonly number[] = Object.values(EXTENSION);

/** Bounds of frames between processes: what a peer sends must not exhaust its reader. */
export const WIRE: FrameBounds = {
  maxFrameBytes: MAX_FRAME_BYTES,
  maxElements: MAX_ELEMENTS,
  maxDepth: MAX_DEPTH,
  extensions: ALL.filter((type) => type !== EXTENSION.beside),
};

/** Bounds of frames within a process, which trusts itself: what a buffer can hold; large binary values go beside it. */
export const LOCAL: FrameBounds = {
  maxFrameBytes: 2 ** 31,
  maxElements: Infinity,
  maxDepth: MAX_DEPTH,
  extensions: ALL,
};

export function frameTooLarge(sizeBytes: number, limitBytes: number): ForgeError {
  return new ForgeError(
    'CAPACITY_FRAME_TOO_LARGE',
    `a frame of at least ${sizeBytes} bytes is needed, at most ${limitBytes} are carried; send less at once, or a path to the data`,
    { sizeBytes, limitBytes },
  );
}
