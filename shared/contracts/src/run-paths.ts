import { join } from 'node:path';

/** Every file and directory of a run, below its directory `runs/<id>`; docs/run-directory.md says what is in each. */
export interface RunPaths {
  record: string;
  config: string;
  resumeLock: string;
  metrics: string;
  samples: string;
  controls: string;
  spans: string;
  earlierSpans: string;
  summary: string;
  report: string;
  checkpoints: string;
  weights: string;
  fetchedWeights: string;
  trainingRecord: string;
  model: string;
  gatewayToken: string;
  logs: string;
  tensorboard: string;
  mlflowRun: string;
}

export function runPaths(directory: string): RunPaths {
  const at = (name: string): string => join(directory, name);
  return {
    record: at('run.json'),
    config: at('config.yaml'),
    resumeLock: at('resume.lock'),
    metrics: at('metrics.jsonl'),
    samples: at('samples.jsonl'),
    controls: at('controls.jsonl'),
    spans: at('spans.jsonl'),
    earlierSpans: at('spans.1.jsonl'),
    summary: at('summary.json'),
    report: at('report.html'),
    checkpoints: at('checkpoints'),
    weights: at('weights'),
    fetchedWeights: at('fetched-weights'),
    trainingRecord: at('record'),
    model: at('model'),
    gatewayToken: at('gateway-token'),
    logs: at('logs'),
    tensorboard: at('tensorboard'),
    mlflowRun: at('mlflow-run'),
  };
}
