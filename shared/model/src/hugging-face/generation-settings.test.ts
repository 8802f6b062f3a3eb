import { unappliedSettings } from './generation-settings';

const unapplied = (settings: object): string[] =>
  unappliedSettings({
    files: new Map([['generation_config.json', Buffer.from(JSON.stringify(settings))]]),
    dir: 'm',
  });

describe('unappliedSettings', () => {
  it('names what would make transformers draw other tokens, with its value', () => {
    const settings = {
      eos_token_id: [2, 3],
      do_sample: true,
      max_new_tokens: 2048,
      repetition_penalty: 1.05,
      top_k: 20,
      top_p: 0.8,
      stop_strings: ['###'],
      suppress_tokens: [7],
      transformers_version: '5.24.0',
    };
    expect(unapplied(settings)).toEqual([
      'top_k 20',
      'top_p 0.8',
      'repetition_penalty 1.05',
      'suppress_tokens [7]',
      'stop_strings ["###"]',
    ]);
  });

  it('names nothing that changes nothing', () => {
    const neutral = {
      temperature: 1,
      top_k: 0,
      top_p: 1.0,
      repetition_penalty: 1,
      num_beams: 1,
      min_length: 0,
    };
    expect(unapplied({ ...neutral, suppress_tokens: [], stop_strings: null, eos_token_id: 2 })).toEqual([]);
    expect(unappliedSettings({ files: new Map(), dir: 'm' })).toEqual([]);
  });
});
