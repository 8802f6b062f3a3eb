import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ApiProblem } from '../dialects/api-problem';

/** The model, under all its names. */
export interface ServedModel {
  /** At least one; the first is that of answers. */
  names: readonly string[];
  /** Seconds since the epoch. */
  loadedAt: number;
}

/** @throws {ApiProblem} unless the model is served under this name. */
export function checkModel({ names }: ServedModel, name: string): void {
  if (names.includes(name)) return;
  const message = `model: found ${name}, expected ${names.join(' or ')}; forge serve --name serves it under another name`;
  throw new ApiProblem('not-found', message, { param: 'model', code: 'model_not_found' });
}

/** Lists the model in the form of the API that asks. */
export function modelRoutes(http: FastifyInstance, model: ServedModel): void {
  http.get('/v1/models', (request) => {
    const data = model.names.map((name) => modelBody(request, model, name));
    if (!isAnthropic(request)) return { object: 'list', data };
    return { data, has_more: false, first_id: model.names[0], last_id: model.names.at(-1) };
  });
  http.get<{ Params: { '*': string } }>('/v1/models/*', (request) => {
    const name = request.params['*'];
    checkModel(model, name);
    return modelBody(request, model, name);
  });
}

function modelBody(request: FastifyRequest, { loadedAt }: ServedModel, id: string): object {
  if (!isAnthropic(request)) return { id, object: 'model', created: loadedAt, owned_by: 'forge' };
  return { type: 'model', id, display_name: id, created_at: new Date(loadedAt * 1000).toISOString() };
}

export function isAnthropic({ headers }: FastifyRequest): boolean {
  return headers['anthropic-version'] !== undefined;
}
