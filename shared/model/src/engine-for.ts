import { checkInstalled, chooseEngine, type Engine, type EngineChoice, type EngineWork } from '@forge/engine';
import { provenEngine } from './proof/proven-engine';
import type { ModelConfig } from './transformer/model-config';
import { parameterCount } from './transformer/parameter-shapes';

/** An engine as a recipe, or the config of an actor, asks for it. */
export type AskedEngine = EngineChoice & { threads: number };

/**
 * The engine that `field` asks for, for work with a model; it has proved that it computes rightly.
 *
 * @throws {ForgeError} ENGINE_NOT_INSTALLED; CONFIG_INVALID when the engine has no such device or mathMode;
 *   NUMERIC_DEVICE_WRONG.
 */
export async function engineFor(
  asked: AskedEngine,
  kind: EngineWork['kind'],
  model: ModelConfig,
  field: string,
): Promise<Engine> {
  const { device, threads, mathMode } = asked;
  const engine = chooseEngine(asked, { kind, parameters: parameterCount(model) }, field);
  checkInstalled({ engine, device }, field);
  return provenEngine({ engine, device, threads, mathMode });
}
