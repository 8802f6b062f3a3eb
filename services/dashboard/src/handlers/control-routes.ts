import type { FastifyInstance, FastifyReply } from 'fastify';
import { z } from 'zod';
import type { LiveAccess } from './live-run';
import { asked } from './asked';
import type { Sources } from './read-routes';

const run = z.object({ id: z.string() });
const letter = run.extend({ letter: z.string().min(1).max(200) });
/** No body, or an empty one. */
const nothing = z.strictObject({}).nullish();
const setBody = z
  .strictObject({
    maxStaleness: z.int().min(0).nullable().optional(),
    steps: z.int().min(1).optional(),
  })
  .refine((changes) => Object.keys(changes).length > 0, 'expected maxStaleness or steps');
const scaleBody = z
  .record(z.string().max(64), z.int().min(1))
  .refine((counts) => Object.keys(counts).length > 0, 'expected a number of replicas by service');
const restartBody = z.strictObject({
  target: z.string().regex(/^[a-z-]+(\/\d+)?$/, 'expected policy/0, or policy'),
});
const rollbackBody = z.strictObject({ to: z.int().min(0) });

/** Routes that change runs. A change is asked for, and seen in what comes next. */
export function controlRoutes(http: FastifyInstance, { watchers, states }: Sources): void {
  const control = <S extends z.ZodType>(
    path: string,
    body: S,
    act: (access: LiveAccess, wanted: z.output<S>) => Promise<unknown>,
  ): void => {
    http.post(`/api/runs/:id/${path}`, async ({ params, body: sent }, reply): Promise<FastifyReply> => {
      const { id } = asked(run, params, 'path');
      const wanted = asked(body, sent, 'body');
      await watchers.of(id).use((access) => act(access, wanted));
      return reply.code(204).send();
    });
  };
  control('pause', nothing, ({ runState }) => runState.controls.pause());
  control('unpause', nothing, ({ runState }) => runState.controls.unpause());
  control('set', setBody, ({ runState }, { maxStaleness, steps }) =>
    runState.controls.set({
      ...(maxStaleness !== undefined && { maxStaleness: maxStaleness ?? Infinity }),
      ...(steps !== undefined && { steps }),
    }),
  );
  control('scale', scaleBody, ({ runState }, counts) => runState.controls.scale(counts));
  control('restart', restartBody, ({ runState }, { target }) => runState.controls.restart(target));
  control('rollback', rollbackBody, ({ runState }, { to }) => runState.weights.askRollback(to));

  for (const act of ['replay', 'discard'] as const) {
    http.post(`/api/runs/:id/dead-letters/:letter/${act}`, async ({ params, body }, reply) => {
      const { id, letter: letterId } = asked(letter, params, 'path');
      asked(nothing, body, 'body');
      await states.use(id, ({ runState }) => runState.deadLetters[act](letterId));
      return reply.code(204).send();
    });
  }
}
