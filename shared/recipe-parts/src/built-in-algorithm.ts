import type { AlgorithmConfig, AlgorithmName } from '@forge/config';
import {
  cispo,
  dapo,
  decoupledPpo,
  dppo,
  drGrpo,
  dro,
  gdpo,
  gmpo,
  grpo,
  gspo,
  luspo,
  maxrl,
  opd,
  opo,
  passAtK,
  ppo,
  reinforce,
  reinforcePlusPlus,
  reinforcePlusPlusBaseline,
  remax,
  rloo,
  sapo,
  vespo,
  type Algorithm,
} from '@forge/rl';

/** Makers of the algorithms, each from its section of a recipe. */
const CATALOGUE: { readonly [Name in AlgorithmName]: (options: ConfigOf<Name>) => Algorithm } = {
  cispo,
  dapo,
  'decoupled-ppo': decoupledPpo,
  dppo,
  'dr-grpo': drGrpo,
  dro,
  gdpo,
  gmpo,
  grpo,
  gspo,
  luspo,
  maxrl,
  opd,
  opo,
  'pass-at-k': passAtK,
  ppo,
  reinforce,
  'reinforce++': reinforcePlusPlus,
  'reinforce++-baseline': reinforcePlusPlusBaseline,
  remax,
  rloo,
  sapo,
  vespo,
};

type ConfigOf<Name extends AlgorithmName> = Extract<AlgorithmConfig, { name: Name }>;

/** The algorithm of that name, with the options of the recipe. */
export function builtInAlgorithm(config: ConfigOf<AlgorithmName>): Algorithm {
  // Each function takes the section of its own name: the table's type says so, which an index by a union forgets.
  return (CATALOGUE[config.name] as (options: typeof config) => Algorithm)(config);
}
