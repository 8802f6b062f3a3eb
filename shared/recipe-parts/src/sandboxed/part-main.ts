import { ForgeError } from '@forge/errors';
import { answerCalls, type CallRequest } from '@forge/threads';
import { HostedPart, type Told } from './hosted-part';

/** Answers the policy about the tools or the environment of one rollout after the other. */
const part = new HostedPart();

/** The value, or what code of the user threw where that is no error of ours. */
async function told<T>(work: () => T | Promise<T>): Promise<Told<T>> {
  try {
    return { value: await work() };
  } catch (error) {
    if (error instanceof ForgeError) throw error;
    return { thrown: error instanceof Error ? error.message : String(error) };
  }
}

const api = {
  load: (source: Parameters<HostedPart['load']>[0]) => part.load(source),
  open: (asked: Parameters<HostedPart['open']>[0]) => told(() => part.open(asked)),
  reset: (_: null, signal: AbortSignal) => told(() => part.reset(signal)),
  step: (asked: Parameters<HostedPart['step']>[0], signal: AbortSignal) =>
    told(() => part.step(asked, signal)),
  outcome: (_: null) => told(() => part.outcome()),
  call: (asked: Parameters<HostedPart['call']>[0], signal: AbortSignal) =>
    told(() => part.call(asked, signal)),
  close: (_: null) => told(() => part.close()),
  abandon: (reason: string) => Promise.resolve(part.abandon(reason)),
  ping: (_: null) => Promise.resolve(),
};

export type PartApi = typeof api;

const send = process.send!.bind(process);
// Modules that look for a parent find none.
delete process.send;
process.on('disconnect', () => process.exit());
const answer = answerCalls(api, (reply) => void send(reply));
process.on('message', (request: CallRequest) => answer(request));
