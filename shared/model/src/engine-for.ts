import { checkInstalled, chooseEngine, createEngine, type Engine, type EngineChoice } from '@forge/engine';
import type { ModelConfig } from './transformer/model-config';
import { parameterCount } from './transformer/parameter-shapes';

/** An engine as a recipe, or the config of an actor, asks for it. */
export type AskedEngine = EngineChoice & { threads: number };

/**
 * The engine that `field` asks for, for a model.
 *
 * @throws {ForgeError} ENGINE_NOT_INSTALLED; CONFIG_INVALID when the engine has no such device or mathMode.
 */
export function engineFor(asked: AskedEngine, model: ModelConfig, field: string): Engine {
  const { device, threads, mathMode } = asked;
  const engine = chooseEngine(asked, parameterCount(model), field);
  checkInstalled({ engine, device }, field);
  return createEngine({ engine, device, threads, mathMode });
}
