import { BroadcastChannel } from 'node:worker_threads';

/** How far a step is that makes the next version after `version`. */
export interface MicroBatches {
  version: number;
  done: number;
  of: number;
}

/** Channel between the threads of a process: the thread of a trainer tells, the owner of the trainer listens. */
const channelOf = (trainerDir: string): BroadcastChannel => {
  const channel = new BroadcastChannel(`forge.micro-batches:${trainerDir}`);
  channel.unref();
  return channel;
};

/** Tells of the micro-batches of the trainer that writes to `trainerDir`; a call takes microseconds. */
export function microBatchTeller(trainerDir: string): (told: MicroBatches) => void {
  const channel = channelOf(trainerDir);
  return (told) => channel.postMessage(told);
}

/**
 * Hears of the micro-batches of the trainer that writes to `trainerDir` and computes in this process, also while one of its
 * endpoints is busy; the returned function ends that.
 */
export function onMicroBatches(trainerDir: string, listener: (told: MicroBatches) => void): () => void {
  const channel = channelOf(trainerDir);
  channel.onmessage = (event) => {
    listener((event as { data: MicroBatches }).data);
  };
  return () => {
    channel.close();
  };
}
