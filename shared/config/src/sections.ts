import { z } from 'zod';

/** An object in which every key has a default, so that the whole section may be left out. */
export function section<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return z.strictObject(shape).prefault({} as never);
}

/** The engines of this machine. */
export const engineName = z.enum(['auto', 'onnx', 'tensorflow']);

/** The engine that computes a model, and where. */
export const engineFields = {
  engine: engineName
    .default('auto')
    .describe(
      'onnx is always there, tensorflow where `forge engine install` has put it; auto takes the faster one for model and device, and stands as that one in the resolved recipe',
    ),
  device: z
    .enum(['cpu', 'cuda', 'webgpu'])
    .default('cpu')
    .describe(
      'where it computes; webgpu takes a GPU with a driver, cuda the libraries that the gpu image has (docs/gpus.md)',
    ),
  threads: z.int().min(1).max(256).default(1).describe('compute threads of one process'),
  mathMode: z
    .enum(['float32', 'bfloat16'])
    .default('float32')
    .describe(
      'precision of matrix products; bfloat16 is faster where the processor has it, and log-probs of generator and trainer differ by more',
    ),
};

/** How long an unreachable Redis is waited for, as recipes and the environment of a service say it. */
export function redisWaitSeconds(number: z.ZodNumber | z.ZodCoercedNumber) {
  return number.gt(0).max(86_400).default(60);
}

const path = z.string().min(1);

/** A user's module: the file, and what it is given. */
export const userModule = {
  module: path.describe('TypeScript or JavaScript file, relative to the working directory'),
  options: z.record(z.string(), z.unknown()).default({}).describe('handed to the module as it is'),
};

/** Lets `{ module: ./mine.ts }` stand for `{ name: module, module: ./mine.ts }`. */
export function named<S extends z.ZodType>(schema: S) {
  return z.preprocess((value) => {
    const isUnnamedModule =
      typeof value === 'object' && value !== null && 'module' in value && !('name' in value);
    return isUnnamedModule ? { name: 'module', ...value } : value;
  }, schema);
}

/** The day of a start. */
export const date = z.iso
  .date()
  .optional()
  .describe('what chat templates that ask for the date are told; left out: the day of the start');
