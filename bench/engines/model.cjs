// Model of a shape in shapes.json, with random weights.
const { initializeParameters } = require('@forge/model');
const shapes = require('./shapes.json');

function modelOf(kind) {
  const { model } = shapes[kind];
  const config = {
    architecture: 'llama',
    hiddenSize: model.hidden_size,
    layers: model.num_hidden_layers,
    heads: model.num_attention_heads,
    kvHeads: model.num_key_value_heads,
    headDim: model.hidden_size / model.num_attention_heads,
    intermediateSize: model.intermediate_size,
    vocabSize: model.vocab_size,
    tieWordEmbeddings: model.tie_word_embeddings,
    maxPositions: 512,
    rmsNormEpsilon: 1e-5,
    rope: { theta: 10_000, scaling: { type: 'none' } },
    ...{ attentionBias: false, attentionOutputBias: false, mlpBias: false, qkNorm: false },
    initializerRange: 0.02,
  };
  return { config, parameters: initializeParameters(config, 1) };
}

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

/** Peak resident memory of this process, MiB. */
function peakMiB() {
  const status = require('node:fs').readFileSync('/proc/self/status', 'utf8');
  return Number(/VmHWM:\s+(\d+)/.exec(status)[1]) / 1024;
}

module.exports = { median, modelOf, peakMiB };
