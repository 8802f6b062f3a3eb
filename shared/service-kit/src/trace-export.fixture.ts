import { tracingEnvironment } from '@forge/config';
import {
  createLogger,
  exportProblem,
  inRootSpan,
  inSpan,
  linkTo,
  recordSpan,
  SpanKind,
  traceOf,
} from '@forge/telemetry';
import { traceService } from './trace-service';

const T = 1_700_000_000_000;
const done = Promise.resolve();

/** A service that has worked on rollout 7 and step 2, and ends; what it warns of goes to its parent. */
async function work(): Promise<void> {
  const logger = createLogger({
    service: 'policy',
    level: 'warn',
    destination: { write: (line: string) => void process.send?.(line) },
  });
  const problem = await exportProblem(tracingEnvironment());
  if (problem !== null) logger.warn(problem);
  const { traces, stop } = await traceService(
    { tracing: { sampleRatio: 0, slowSeconds: 10 } },
    { service: 'policy', replica: '3', runId: 'run' },
    { add: () => done },
    logger,
  );
  const step = traces.step(2)!;
  const parent = traceOf(traces.rollout(7, T, false)!.traceparent);
  const attempt = {
    parent,
    kind: SpanKind.CONSUMER,
    startMs: T + 0.5,
    links: [linkTo(step, { step: 2, why: 'batch' })],
    attributes: { text: 'é "x"', whole: -3, part: 0.25, yes: true, list: ['a', 'b'] },
  };
  await inSpan('attempt', attempt, (span) => {
    span!.addEvent('chunk', { tokens: 7 }, T + 3.25);
    span!.addEvent('bare', T + 4);
    span!.end(T + 9);
    return done;
  });
  recordSpan('failing', { parent, startMs: T, error: new Error('boom') }, T + 1.125);
  await inRootSpan('step', step, { startMs: T }, (span) => {
    span!.end(T + 20);
    return done;
  });
  await stop();
  process.disconnect();
}

void work();
