import { serveWorker } from '@forge/threads';
import { ProgramRunner, type Program, type Verdict } from './run-program';

/** Runs programs one after the other, in a thread of its own that can be ended at any moment. */
const runner = new ProgramRunner();

const api = {
  open: (): Promise<void> => runner.open(),
  run: (program: Program): Promise<Verdict> => runner.run(program),
};

export type SandboxApi = typeof api;

serveWorker(api);
