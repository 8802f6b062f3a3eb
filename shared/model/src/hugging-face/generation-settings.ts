import { jsonOf, type ModelFiles } from './model-files';

/** Settings by which transformers would draw other tokens, each with the values that change nothing. */
const NEUTRAL: Readonly<Record<string, readonly unknown[]>> = {
  temperature: [1],
  top_k: [0],
  top_p: [1],
  min_p: [0],
  top_h: [],
  typical_p: [1],
  epsilon_cutoff: [0],
  eta_cutoff: [0],
  repetition_penalty: [1],
  encoder_repetition_penalty: [1],
  no_repeat_ngram_size: [0],
  encoder_no_repeat_ngram_size: [0],
  bad_words_ids: [],
  sequence_bias: [],
  suppress_tokens: [],
  begin_suppress_tokens: [],
  forced_bos_token_id: [],
  forced_eos_token_id: [],
  exponential_decay_length_penalty: [],
  min_length: [0],
  min_new_tokens: [0],
  stop_strings: [],
  num_beams: [1],
  num_beam_groups: [1],
  penalty_alpha: [0],
  dola_layers: [],
  guidance_scale: [1],
  watermarking_config: [],
};

/**
 * Settings of `generation_config.json` by which transformers would draw other tokens than we do, who draw as the recipe
 * or the command line says: name and value each.
 *
 * @throws {ForgeError} CONFIG_INVALID when the file is not a JSON object.
 */
export function unappliedSettings({ files, dir }: { files: ModelFiles; dir: string }): string[] {
  const settings = jsonOf(files, 'generation_config.json', dir) ?? {};
  return Object.entries(NEUTRAL)
    .filter(([name, neutral]) => !isEmpty(settings[name]) && !neutral.includes(settings[name]))
    .map(([name]) => `${name} ${JSON.stringify(settings[name])}`);
}

function isEmpty(value: unknown): boolean {
  return value == null || (Array.isArray(value) && value.length === 0);
}
