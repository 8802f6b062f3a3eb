import { setTimeout as sleep } from 'node:timers/promises';
import { serveActor, thisProc } from '@forge/actors';
import { connectRedis, openRolloutQueue, Registry, RunState } from '@forge/broker';
import { AgentSessions } from '@forge/rl-actors';
import { giveUpJob } from '../handlers/job-failures';
import { agentRecipe, scriptedJobs } from './scripted-jobs.fixture';

/** A policy replica that takes its time over each answer, and dies of the sample `poison`: Redis, run and replica are its arguments. */
async function main(url: string, runId: string, replica: string): Promise<void> {
  const redis = await connectRedis(url, { name: replica, giveUpAfterMs: 10_000 });
  const state = new RunState(redis, runId);
  const registry = new Registry(redis, runId);
  const recipe = agentRecipe({ sessions: true });
  const { table, jobs } = scriptedJobs({ state, recipe, replica, onDraw: () => sleep(30) });
  const texts = { renderChat: () => Promise.resolve([]), tokenTexts: () => Promise.resolve([]) };
  const answers = await serveActor(await thisProc().spawn('sessions', AgentSessions, table, texts), 'unix');
  const queue = await openRolloutQueue(url, runId, { lockMs: 1_000, stalledMs: 300 });
  queue.work({
    ...{ name: replica, concurrency: 4, onError: () => undefined },
    onFailed: (failure) => giveUpJob(state, failure),
    handler: (job) => {
      if (job.kind === 'rollout' && job.sample.id === 'poison') process.kill(process.pid, 'SIGKILL');
      return jobs.handle(job);
    },
  });
  for (;;) {
    const { address, actor } = answers;
    await registry.heartbeat({
      ...{ service: 'policy', replica, url: '', pid: process.pid, isReady: true, callsMade: [] },
      answers: { address, actor },
    });
    await sleep(100);
  }
}

const [url, runId, replica] = process.argv.slice(2);
void main(url!, runId!, replica!);
