import type { ToolSpec } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { z } from 'zod';
import type { RolloutScope } from './rollout-scope';
import { Slots } from './slots';

type ArgumentsSchema = z.ZodObject;

/** A function that the model may call. */
export interface Tool<Arguments extends ArgumentsSchema = ArgumentsSchema> {
  /** Purpose of the tool, told to the model. */
  description: string;
  /** Its arguments; the model is told the JSON Schema, and `run` gets what the schema has parsed. */
  parameters: Arguments;
  /** A call that takes longer has failed; default 10 000. */
  timeoutMs?: number;
  /** Calls at the same time in one process; left out: any number. */
  maxConcurrent?: number;
  /** The answer to the model: a text, or what JSON makes of another value. An error that it throws is told to the model. */
  run(args: z.output<Arguments>, scope: RolloutScope): unknown;
}

/** Tools by name, each with arguments of its own. */
export type Tools<Arguments extends Record<string, ArgumentsSchema> = Record<string, ArgumentsSchema>> = {
  [Name in keyof Arguments]: Tool<Arguments[Name]>;
};

/** The tool itself: a way to let TypeScript find the arguments of `run` where tools are made by a function. */
export function tool<Arguments extends ArgumentsSchema>(given: Tool<Arguments>): Tool<Arguments> {
  return given;
}

/** The tools of one rollout, and how they are put away at its end. */
export interface RolloutTools<
  Arguments extends Record<string, ArgumentsSchema> = Record<string, ArgumentsSchema>,
> {
  tools: Tools<Arguments>;
  close?(): unknown;
}

/** A tool as it is offered to a model. */
export interface OfferedTool {
  readonly spec: ToolSpec;
  readonly tool: Tool;
  /** Places of its calls in this process. */
  readonly slots: Slots;
}

/** Tools made for one rollout; `close` is called once when it ends, however it does. */
export interface OpenTools {
  readonly offered: ReadonlyMap<string, OfferedTool>;
  close(): Promise<void>;
}

/** Tools that a rollout can be given. */
export interface ToolSet {
  /** Whether they keep nothing from one call to the next, so that those made anew go on; default false. */
  readonly isStateless?: boolean;
  open(scope: RolloutScope): Promise<OpenTools>;
}

const NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,63}$/;

/**
 * Tools that a model may call: the same for all rollouts, or a function that makes those of one rollout, with what has to be
 * put away at its end.
 *
 * @throws {ForgeError} CONFIG_INVALID naming the tool whose name, parameters or bound is invalid; for a function, when
 *   a rollout begins.
 */
export function defineTools<Arguments extends Record<string, ArgumentsSchema>>(
  given:
    Tools<Arguments> | ((scope: RolloutScope) => RolloutTools<Arguments> | Promise<RolloutTools<Arguments>>),
): ToolSet {
  const slots = new Map<string, Slots>();
  if (typeof given !== 'function') {
    const offered = offeredTools(given, slots);
    return { isStateless: true, open: () => Promise.resolve({ offered, close: () => Promise.resolve() }) };
  }
  return {
    async open(scope) {
      const opened = await given(scope);
      return {
        offered: offeredTools(opened.tools, slots),
        close: async () => {
          await opened.close?.();
        },
      };
    },
  };
}

/** Several sets of tools as one: a rollout is given all or none. */
export function joinTools(sets: readonly ToolSet[]): ToolSet {
  return {
    isStateless: sets.every((set) => set.isStateless === true),
    async open(scope) {
      const opened: OpenTools[] = [];
      const close = async (): Promise<void> => {
        await Promise.all(opened.map((tools) => tools.close()));
      };
      try {
        for (const set of sets) opened.push(await set.open(scope));
        return { offered: joinOffered(opened.map(({ offered }) => offered)), close };
      } catch (error) {
        await close();
        throw error;
      }
    },
  };
}

/** @throws {ForgeError} CONFIG_INVALID when two have one name. */
export function joinOffered(lists: readonly OpenTools['offered'][]): OpenTools['offered'] {
  const all = lists.flatMap((offered) => [...offered]);
  const names = all.map(([name]) => name);
  const repeated = names.find((name, i) => names.indexOf(name) < i);
  if (repeated !== undefined)
    throw invalid(`found two named '${repeated}', expected different names`, repeated);
  return new Map(all);
}

/**
 * The tools as they are offered; those of one name share the places in `slots`.
 *
 * @throws {ForgeError} CONFIG_INVALID
 */
export function offeredTools(tools: Tools, slots: Map<string, Slots>): Map<string, OfferedTool> {
  const entries = Object.entries(tools);
  if (entries.length === 0) throw invalid('found none, expected at least one');
  return new Map(
    entries.map(([name, tool]) => {
      if (!NAME.test(name))
        throw invalid(`found the name '${name}', expected at most 64 letters, digits, _ and -`, name);
      const { maxConcurrent = Infinity, timeoutMs = 1 } = tool;
      if (!(maxConcurrent >= 1))
        throw invalid(`${name}.maxConcurrent: found ${maxConcurrent}, expected >= 1`, name);
      if (!(timeoutMs > 0)) throw invalid(`${name}.timeoutMs: found ${timeoutMs}, expected > 0`, name);
      if (!slots.has(name)) slots.set(name, new Slots(maxConcurrent));
      const { description } = tool;
      const spec = { name, description, parameters: jsonSchema(name, tool.parameters) };
      return [name, { spec, tool, slots: slots.get(name)! }];
    }),
  );
}

/**
 * Arguments of a call as the schema of the tool has parsed them.
 *
 * @throws {Error} that tells the model what is invalid.
 */
export async function parsedArguments(
  { parameters }: Tool,
  given: unknown,
): Promise<Record<string, unknown>> {
  const parsed = await parameters.safeParseAsync(given);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => [path.join('.'), message]);
  const shown = problems.map((problem) => problem.filter(Boolean).join(': ')).join('; ');
  throw new Error(`invalid arguments: ${shown}`);
}

/** The result of a tool as the model is told it. */
export function toolText(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}

/** The arguments as JSON Schema describes them to a model. */
function jsonSchema(name: string, parameters: ArgumentsSchema): Record<string, unknown> {
  try {
    const schema = z.toJSONSchema(parameters, { io: 'input' });
    delete schema.$schema;
    if (schema.type !== 'object') throw new Error(`found ${String(schema.type)}`);
    return schema;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw invalid(`${name}.parameters: ${why}; expected a z.object of what JSON has`, name);
  }
}

function invalid(problem: string, tool?: string): ForgeError {
  return new ForgeError('CONFIG_INVALID', `tools: ${problem}`, { field: 'tools', tool });
}
