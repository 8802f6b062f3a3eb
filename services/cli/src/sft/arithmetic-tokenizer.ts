/** Characters of arithmetic; one token each, after the special tokens. */
const CHARACTERS = '0123456789+-*=<>';
const SPECIAL = ['<pad>', '<eos>'] as const;

/**
 * A tokenizer in Hugging Face's format with one token per character. Operands shorter than `maxDigits` get zeros in
 * front, so that digits of equal weight stand at equal places: `12+7=` is read as `12+07=`.
 */
export function arithmeticTokenizer(maxDigits: number): {
  files: Record<string, object>;
  vocabSize: number;
  endTokenId: number;
} {
  const symbols = [...SPECIAL, ...CHARACTERS];
  const endTokenId = SPECIAL.indexOf('<eos>');
  const lengths = Array.from({ length: maxDigits - 1 }, (_, i) => i + 1);
  return {
    vocabSize: symbols.length,
    endTokenId,
    files: {
      'tokenizer.json': {
        version: '1.0',
        truncation: null,
        padding: null,
        added_tokens: SPECIAL.map((content, id) => ({
          id,
          content,
          single_word: false,
          lstrip: false,
          rstrip: false,
          normalized: false,
          special: true,
        })),
        normalizer: { type: 'Sequence', normalizers: lengths.map(padOperand) },
        pre_tokenizer: null,
        post_processor: null,
        decoder: { type: 'Fuse' },
        model: {
          type: 'BPE',
          dropout: null,
          unk_token: null,
          continuing_subword_prefix: null,
          end_of_word_suffix: null,
          fuse_unk: false,
          byte_fallback: false,
          vocab: Object.fromEntries(symbols.map((symbol, id) => [symbol, id])),
          merges: [],
        },
      },
      'tokenizer_config.json': {
        tokenizer_class: 'PreTrainedTokenizerFast',
        eos_token: '<eos>',
        pad_token: '<pad>',
        clean_up_tokenization_spaces: false,
      },
    },
  };
}

/** Puts a zero before operands of that many digits; numbers with nothing behind them are answers and stay. */
function padOperand(digits: number): object {
  return { type: 'Replace', pattern: { Regex: `(?<![0-9])(?=[0-9]{${digits}}[-+*=])` }, content: '0' };
}
