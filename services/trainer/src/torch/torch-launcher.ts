import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { torchEnvironment, torchPython, type Recipe } from '@forge/config';
import { TORCH_PACKAGE } from '@forge/engine';
import { ERROR_CODES, ForgeError, type ErrorCode } from '@forge/errors';
import { loadModel, modelFingerprint, modelFolder } from '@forge/model';
import { offerWeights } from '../offer-weights';
import { TorchWork } from './torch-work';
import type { ServiceContext, ServiceInstance } from '@forge/service-kit';

/** Line in which the trainer in PyTorch says why it ends. */
const REASON = /^torch: ([A-Z]+(?:_[A-Z]+)+): (.*)$/;

/**
 * Trains in PyTorch: starts the ranks of this machine, the first of which speaks with the run as a trainer does, and ends
 * when one of them does.
 */
export async function startTorch(context: ServiceContext): Promise<ServiceInstance> {
  const { recipe, redisUrl, logger, fail } = context;
  const offer = await offerWeights(context);
  const args = [...rankArguments(recipe.trainer.torch), 'train', ...(await trainArguments(context))];
  const ranks = spawn(torchPython(), args, {
    env: torchEnvironment(TORCH_PACKAGE, redisUrl),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  logger.info({ pid: ranks.pid, ...recipe.trainer.torch }, 'the trainer in PyTorch starts');
  const told = new Set<string>();
  const work = new TorchWork();
  let why: ForgeError | null = null;
  createInterface(ranks.stderr).on('line', (line) => {
    process.stderr.write(`${line}\n`);
    why = reasonIn(line) ?? why;
  });
  const ready = new Promise<void>((resolve) => {
    createInterface(ranks.stdout).on('line', (line) => {
      told.add(line);
      work.hear(line);
      if (told.has('ready')) resolve();
    });
  });
  const ended = once(ranks, 'close').then(([code, signal]: (string | number | null)[]) => {
    if (told.has('ended')) return;
    const how = signal ?? `exit ${code}`;
    throw (
      why ??
      new ForgeError('TRANSIENT_REPLICA_LOST', `the trainer in PyTorch ended: ${how}`, { why: String(how) })
    );
  });
  await Promise.race([ready, ended]);
  let isStopping = false;
  ended.catch((error: unknown) => {
    if (!isStopping) fail(error);
  });
  return {
    ready: () => true,
    totals: () => work.totals(),
    drain: async () => {
      isStopping = true;
      ranks.kill('SIGTERM');
      await ended;
      await offer?.close();
    },
  };
}

/** Arguments of Python before those of the trainer: one process, or the ranks of this machine under torchrun. */
export function rankArguments({ processes, nodes, address }: Recipe['trainer']['torch']): string[] {
  if (processes * nodes === 1) return ['-m', 'forge_torch'];
  const [host = '', port = ''] = address?.split(':') ?? [];
  const place =
    nodes === 1
      ? ['--standalone']
      : ['--nnodes', `${nodes}`, '--node-rank', '0', '--master-addr', host, '--master-port', port];
  // The supervisor of the run counts the restarts.
  const restarts = ['--max-restarts', '0'];
  const each = ['--nproc-per-node', `${processes}`];
  return ['-m', 'torch.distributed.run', ...place, ...each, ...restarts, '-m', 'forge_torch'];
}

async function trainArguments({ recipe, runId }: ServiceContext): Promise<string[]> {
  const { dir: model } = await modelFolder(recipe.model);
  const { config } = await loadModel(model);
  return [runId, join(recipe.output.dir, runId), model, modelFingerprint(config)];
}

/** The error in a line, where the line says why the trainer ends. */
export function reasonIn(line: string): ForgeError | null {
  const [, code, message] = REASON.exec(line) ?? [];
  if (code === undefined || message === undefined || !(code in ERROR_CODES)) return null;
  return new ForgeError(code as ErrorCode, message);
}
