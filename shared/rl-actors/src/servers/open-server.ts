import type { GenerationServer } from '@forge/config';
import type { GeneratingServer } from './generating-server';
import { OpenAiServer } from './open-ai-server';
import { ServerConnection } from './server-connection';
import { SglangServer } from './sglang-server';
import { VllmServer } from './vllm-server';

/** The server a recipe names, by the first of its addresses; `isAdapter`: weights put there are adapters. */
export function openServer(
  config: GenerationServer,
  key: string | null,
  isAdapter: boolean,
): GeneratingServer {
  const { url } = config;
  const connection = new ServerConnection(typeof url === 'string' ? url : url[0]!, config, key);
  switch (config.kind) {
    case 'vllm':
      return new VllmServer(connection, config.model, isAdapter);
    case 'sglang':
      return new SglangServer(connection, isAdapter);
    case 'openai':
      return new OpenAiServer(connection, config.model);
  }
}
