import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { AnswerSource } from '../answers/answer-source';

/** The model, under all its names. */
export interface ListedModel {
  /** At least one. */
  names: readonly string[];
  /** Seconds since the epoch. */
  loadedAt: number;
}

/** Lists the model in the form of the API that asks. */
export function modelRoutes(
  http: FastifyInstance,
  model: ListedModel,
  source: Pick<AnswerSource, 'modelNamed'>,
  prefix: string,
): void {
  http.get(`${prefix}/v1/models`, (request) => {
    const data = model.names.map((name) => modelBody(request, model, name));
    if (!isAnthropic(request)) return { object: 'list', data };
    return { data, has_more: false, first_id: model.names[0], last_id: model.names.at(-1) };
  });
  http.get<{ Params: { '*': string } }>(`${prefix}/v1/models/*`, (request) => {
    const name = request.params['*'];
    source.modelNamed(name);
    return modelBody(request, model, name);
  });
}

function modelBody(request: FastifyRequest, { loadedAt }: ListedModel, id: string): object {
  if (!isAnthropic(request)) return { id, object: 'model', created: loadedAt, owned_by: 'forge' };
  return { type: 'model', id, display_name: id, created_at: new Date(loadedAt * 1000).toISOString() };
}

export function isAnthropic({ headers }: Pick<FastifyRequest, 'headers'>): boolean {
  return headers['anthropic-version'] !== undefined;
}
