import type { Logger } from '@forge/telemetry';
import { drawAnswers } from '../answers/draw-answers';
import type { GatewayPolicy } from '../answers/gateway-policy';
import { ApiProblem } from '../dialects/api-problem';
import { openGateway, type Gateway, type GatewayLimits } from '../gateway-server';
import { requireKey } from '../handlers/api-key';

export interface ServedModelOptions {
  policy: GatewayPolicy;
  /** Names that clients ask for the model by; the first is that of answers. */
  names: readonly string[];
  host: string;
  /** Null: the usual one, or any where that is taken. */
  port: number | null;
  /** Null: everybody who reaches the server may ask. */
  apiKey: string | null;
  logger: Logger;
  limits?: Partial<GatewayLimits>;
}

/** Serves a policy to the clients of OpenAI's and Anthropic's APIs. */
export function serveModel({ policy, apiKey, ...options }: ServedModelOptions): Promise<Gateway> {
  const { names } = options;
  return openGateway({
    ...options,
    source: {
      modelNamed: (name) => {
        if (names.includes(name)) return names[0]!;
        const message = `model: found ${name}, expected ${names.join(' or ')}; forge serve --name serves it under another name`;
        throw new ApiProblem('not-found', message, { param: 'model', code: 'model_not_found' });
      },
      answers: ({ request: _, ...call }) => drawAnswers({ policy, ...call }),
      countTokens: async (messages, tools) =>
        (await policy.renderChat({ messages: [...messages], tools: [...tools] })).length,
    },
    ...(apiKey !== null && { extend: (http) => requireKey(http, apiKey) }),
  });
}
