import type { FastifyInstance } from 'fastify';
import { ForgeError } from '@forge/errors';
import { keptWeights, readablePayload, rolloutHistory } from '@forge/runs';
import { traceIds } from '@forge/telemetry';
import { z } from 'zod';
import type {
  ControlChange,
  DeadLetterView,
  MetricsRow,
  RolloutHistory,
  RolloutView,
  RunListing,
  RunView,
  SampleRollout,
  Span,
  WeightsVersion,
} from '../api';
import { asked } from './asked';
import { RunFiles } from './run-files';
import type { RunCatalog } from './run-catalog';
import type { RunStates } from './run-states';
import type { RunWatchers } from './run-watchers';

const MOST_SAMPLES = 500;

const run = z.object({ id: z.string() });
const count = z.coerce.number().pipe(z.int().min(0));
const metricsQuery = z
  .strictObject({ after: count.optional(), step: count.optional() })
  .refine(({ after, step }) => after === undefined || step === undefined, 'expected after or step');
const samplesQuery = z.strictObject({ limit: count.pipe(z.int().max(MOST_SAMPLES)).default(50) });

export interface Sources {
  catalog: RunCatalog;
  watchers: RunWatchers;
  states: RunStates;
}

/** Routes that tell about runs. */
export function readRoutes(http: FastifyInstance, { catalog, watchers, states }: Sources): void {
  const filesOf = (params: unknown): RunFiles =>
    new RunFiles(catalog.find(asked(run, params, 'path').id).directory);

  http.get('/api/runs', (): Promise<RunListing[]> => catalog.listings());
  http.get('/api/runs/:id', ({ params }): Promise<RunView> =>
    watchers.of(asked(run, params, 'path').id).view(),
  );
  http.get('/api/runs/:id/metrics', async ({ params, query }): Promise<readonly MetricsRow[]> => {
    const { after, step } = asked(metricsQuery, query, 'query');
    if (step === undefined) return filesOf(params).metrics(after);
    const row = await filesOf(params).metricsOf(step);
    return row === null ? [] : [row];
  });
  http.get('/api/runs/:id/samples', ({ params, query }): Promise<SampleRollout[]> =>
    filesOf(params).samples(asked(samplesQuery, query, 'query').limit),
  );
  http.get('/api/runs/:id/controls', ({ params }): Promise<ControlChange[]> => filesOf(params).controls());
  http.get('/api/runs/:id/rollouts/:index', async ({ params }): Promise<RolloutView> => {
    const { id, index } = asked(run.extend({ index: count }), params, 'path');
    const files = filesOf(params);
    const [history, sample, spans] = await Promise.all([
      historyOf(states, id, index),
      files.sampleOf(index),
      files.spans(traceIds(id, 'rollout', index).traceId),
    ]);
    return { index, history, sample, spans };
  });
  http.get('/api/runs/:id/steps/:step', ({ params }): Promise<Span[]> => {
    const { id, step } = asked(run.extend({ step: count }), params, 'path');
    return filesOf(params).spans(traceIds(id, 'step', step).traceId);
  });
  http.get('/api/runs/:id/dead-letters', async ({ params }): Promise<DeadLetterView[]> => {
    const letters = await states.use(asked(run, params, 'path').id, ({ runState }) =>
      runState.deadLetters.list(),
    );
    return letters
      .map(({ schemaVersion: _, ...letter }) => ({ ...letter, payload: readablePayload(letter) }))
      .reverse();
  });
  http.get('/api/runs/:id/weights', async ({ params }): Promise<WeightsVersion[]> => {
    const { id, directory } = catalog.find(asked(run, params, 'path').id);
    const { weights } = await states.use(id, (access) => keptWeights(directory, access));
    return weights
      .map(({ version, sha256, sizeBytes, rolledBackTo, usedBy }) => ({
        ...{ version, sha256, sizeBytes, rolledBackTo },
        usedBy: [...usedBy],
      }))
      .reverse();
  });
}

/** Null when the run has forgotten it, or its Redis is gone. */
async function historyOf(states: RunStates, id: string, index: number): Promise<RolloutHistory | null> {
  try {
    const found = await states.use(id, async ({ runState }) =>
      rolloutHistory(id, index, await runState.ledgerSnapshot()),
    );
    if (found === null) return null;
    const { state, reason, job, replica, generatedBy, step, lag, produced, replayOf } = found;
    return { state, reason, job, replica, generatedBy, step, lag, produced, replayOf };
  } catch (error) {
    if (error instanceof ForgeError) return null;
    throw error;
  }
}
