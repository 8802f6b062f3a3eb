import { encode } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { FastifyInstance } from 'fastify';
import { Unpackr } from 'msgpackr';
import { encodeWithinLimit, MAX_BODY_BYTES } from './message-limit';

/** Endpoints by name; arguments are checked by the endpoint itself. */
export type Endpoints = Readonly<Record<string, (argument: unknown) => Promise<unknown>>>;

const unpackr = new Unpackr({ useRecords: false });

/** Answers `POST /call/<endpoint>` with msgpack both ways; errors travel in their wire form. */
export function serveEndpoints(http: FastifyInstance, endpoints: Endpoints): void {
  http.addContentTypeParser(
    'application/msgpack',
    { parseAs: 'buffer', bodyLimit: MAX_BODY_BYTES },
    (_request, body, done) => {
      try {
        done(null, unpackr.unpack(body as Buffer));
      } catch {
        done(null, undefined);
      }
    },
  );
  http.post<{ Params: { endpoint: string } }>(
    '/call/:endpoint',
    { bodyLimit: MAX_BODY_BYTES },
    async (request, reply) => {
      reply.header('content-type', 'application/msgpack');
      const { endpoint } = request.params;
      try {
        const handler = Object.hasOwn(endpoints, endpoint) ? endpoints[endpoint] : undefined;
        if (handler === undefined)
          throw new ForgeError('CONTRACT_UNKNOWN_ENDPOINT', `there is no endpoint ${endpoint}`, { endpoint });
        return await reply.send(encodeWithinLimit(await handler(request.body), `the result of ${endpoint}`));
      } catch (error) {
        const wire = ForgeError.from(error).toWire();
        return reply.code(500).send(encode(wire));
      }
    },
  );
}
