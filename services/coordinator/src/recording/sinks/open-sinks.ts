import { join } from 'node:path';
import { mlflowEnvironment, type Recipe, type SinkConfig } from '@forge/config';
import { runPaths } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Logger } from '@forge/telemetry';
import { consoleSink, jsonlSink } from './log-sinks';
import type { MetricSink } from './metric-sink';
import { MlflowSink } from './mlflow-sink';
import { PatientSink } from './patient-sink';
import { RunSinks } from './run-sinks';
import { tensorboardSink } from './tensorboard-sink';

/** The sinks a recipe names, for the run whose directory is `dir`. One that can't work is left out, with a warning. */
export function openSinks(recipe: Recipe, runId: string, dir: string, logger: Logger): RunSinks {
  const sinks = recipe.output.sinks.flatMap((config) => {
    try {
      const sink = new PatientSink(sinkOf(config, recipe, runId, dir, logger), logger);
      return [{ mode: config.mode, sink }];
    } catch (err) {
      logger.warn({ err, sink: config.kind }, 'a metric sink is left out');
      return [];
    }
  });
  return new RunSinks(sinks);
}

function sinkOf(config: SinkConfig, recipe: Recipe, runId: string, dir: string, logger: Logger): MetricSink {
  switch (config.kind) {
    case 'console':
      return consoleSink(logger);
    case 'jsonl':
      return jsonlSink(join(dir, `metrics.${config.mode}.jsonl`));
    case 'tensorboard':
      return tensorboardSink(runPaths(dir).tensorboard);
    case 'mlflow': {
      const environment = mlflowEnvironment();
      const uri = config.uri ?? environment.uri;
      if (uri === undefined || !/^https?:/.test(uri)) {
        const message = `output.sinks: mlflow needs the URI of a tracking server (http or https), in uri or MLFLOW_TRACKING_URI; found ${uri ?? 'none'}`;
        throw new ForgeError('CONFIG_INVALID', message);
      }
      return new MlflowSink({
        uri,
        authorization: environment.authorization,
        experiment: config.experiment,
        runId,
        parameters: flatten(recipe),
        idFile: runPaths(dir).mlflowRun,
      });
    }
  }
}

/** `{ trainer: { learningRate: 1 } }` as `trainer.learningRate`: `1`. */
function flatten(value: unknown, path: readonly string[] = []): Record<string, string> {
  if (typeof value !== 'object' || value === null) return { [path.join('.')]: String(value) };
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => Object.entries(flatten(inner, [...path, key]))),
  );
}
