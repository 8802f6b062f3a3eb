import { ForgeError } from '@forge/errors';
import type { Tool, Tools } from '@forge/rl';
import { z } from 'zod';
import type { ActionForm, JsonSchema } from './action-form';
import { observationText, toolResult } from './observation-text';

/** Outcome of an action at a server. */
export interface Taken {
  observation: Record<string, unknown>;
  /** Reason why the server did not take the action, which the model is told; null: it did. */
  refusal: string | null;
  reward: number;
  done: boolean;
}

/** Takes an action to the server. */
export type Act = (action: Record<string, unknown>) => Promise<Taken>;

/** Bound of calls that have their bounds elsewhere: the longest of a timer. */
const UNBOUNDED_MS = 2 ** 31 - 1;

const listed = z.object({
  tools: z
    .array(
      z.object({
        name: z.string(),
        description: z.string().nullish(),
        input_schema: z.record(z.string(), z.unknown()).optional(),
        inputSchema: z.record(z.string(), z.unknown()).optional(),
      }),
    )
    .min(1),
});

/**
 * Tools whose calls are actions: those of an MCP server, or one named `act` that takes the fields of the action.
 *
 * @throws {ForgeError} CONTRACT_INVALID_MESSAGE where a server of tools lists none.
 */
export async function callTools(
  form: ActionForm & { by: 'calls' },
  schema: JsonSchema,
  { act, field }: { act: Act; field: string | undefined },
): Promise<Tools> {
  if (!form.isMcp) {
    const description =
      typeof schema.description === 'string' ? schema.description : 'Acts in the environment.';
    return { act: remoteTool(description, form.parameters, { act, field }) };
  }
  const { observation, refusal } = await act({ type: 'list_tools' });
  const parsed = listed.safeParse(observation);
  if (!parsed.success) {
    const found = refusal ?? JSON.stringify(observation).slice(0, 200);
    throw new ForgeError(
      'CONTRACT_INVALID_MESSAGE',
      `found ${found} for list_tools, expected at least one tool`,
    );
  }
  return Object.fromEntries(
    parsed.data.tools.map(({ name, description, input_schema: parameters, inputSchema }) => {
      const call: Act = (given) => act({ type: 'call_tool', tool_name: name, arguments: given });
      return [name, remoteTool(description ?? '', parameters ?? inputSchema ?? {}, { act: call, field })];
    }),
  );
}

function remoteTool(
  description: string,
  { properties = {}, required = [], $defs }: JsonSchema,
  { act, field }: { act: Act; field: string | undefined },
): Tool {
  return {
    description,
    // The model is told the server's schema as it is; the server checks the arguments.
    parameters: z.looseObject({}).meta({ properties, required, ...($defs !== undefined && { $defs }) }),
    timeoutMs: UNBOUNDED_MS,
    run: async (given) => {
      const { observation, refusal } = await act(given);
      if (refusal !== null) throw new Error(refusal);
      const result = toolResult(observation);
      if (result?.isError === true) throw new Error(result.text);
      return result?.text ?? observationText(observation, field);
    },
  };
}
