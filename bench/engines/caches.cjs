// node caches.cjs KIND ENGINE DEVICE THREADS [ROUNDS]: a line of JSON about caches on the host and on the device: CPU time of
// 32 rows of 64 to 96 tokens, alternating, and the bytes that pass between the two for each chunk, prompts included.
const { samplingSchema } = require('@forge/contracts');
const { createEngine } = require('@forge/engine');
const { Generator } = require('@forge/model');
const { median, modelOf } = require('./model.cjs');

const [kind, engine, device, threads, rounds = 3] = process.argv.slice(2);
const [ROWS, TOKENS, CHUNK, PROMPT_TOKENS] = [32, 96, 16, 36];
const PLACES = ['host', 'device'];

const bytesOf = (tensors) => tensors.reduce((sum, { data }) => sum + (data?.byteLength ?? 0), 0);

/** The engine with its caches in one place; `bus` counts what goes to its tensors and comes from them. */
function withCachesOn(engine, memory, bus) {
  const counted = (tensor) => {
    const read = tensor.read.bind(tensor);
    tensor.read = async () => {
      const host = await read();
      bus.down += bytesOf([host]);
      return host;
    };
    return tensor;
  };
  const put = async (tensor) => {
    bus.up += bytesOf([tensor]);
    return counted(await engine.put(tensor));
  };
  const compile = async (outputs, options) => {
    const program = await engine.compile(outputs, options);
    const run = async (feeds, how) => {
      bus.up += bytesOf(Object.values(feeds));
      const found = await program.run(feeds, how);
      bus.down += bytesOf(Object.values(found.host));
      Object.values(found.kept).forEach(counted);
      if ('sampled' in found.host) bus.chunks += 1;
      return found;
    };
    const { inputNames, outputNames } = program;
    return { inputNames, outputNames, run, release: () => program.release() };
  };
  return { options: engine.options, memory, put, compile };
}

async function generatorOn(memory) {
  const bus = { up: 0, down: 0, chunks: 0 };
  const base = createEngine({ engine, device, mathMode: 'float32', threads: Number(threads) });
  const model = modelOf(kind);
  const generator = await Generator.create({
    ...model,
    engine: withCachesOn(base, memory, bus),
    ...{ version: 0, endTokenIds: [], maxBatch: ROWS, chunk: CHUNK, weightMode: 'initializers' },
    decodeText: String,
  });
  const promptTokenIds = Array.from(
    { length: PROMPT_TOKENS },
    (_, i) => (100 + i * 7) % model.config.vocabSize,
  );
  const ask = (row, seed) =>
    generator.generate({
      ...{ promptTokenIds, rolloutIds: [`${seed}-${row}`], seed },
      // Some rows leave at most chunks.
      sampling: samplingSchema.parse({ maxTokens: TOKENS - 8 * (row % 5), temperature: 1 }),
    });
  /** Seconds of CPU. */
  const generate = async (seed) => {
    const before = process.cpuUsage();
    await Promise.all(Array.from({ length: ROWS }, (_, row) => ask(row, seed)));
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1e6;
  };
  return { bus, generate };
}

async function main() {
  const generators = Object.fromEntries(
    await Promise.all(PLACES.map(async (place) => [place, await generatorOn(place)])),
  );
  const seconds = { host: [], device: [] };
  for (let round = 0; round <= Number(rounds); round++) {
    for (const place of round % 2 === 0 ? PLACES : [...PLACES].reverse()) {
      const taken = await generators[place].generate(round);
      if (round > 0) seconds[place].push(taken);
    }
  }
  const told = PLACES.map((place) => {
    const { up, down, chunks } = generators[place].bus;
    const bytes = { upPerChunk: Math.round(up / chunks), downPerChunk: Math.round(down / chunks) };
    return [place, { cpuSeconds: median(seconds[place]), ...bytes }];
  });
  const hostOverDevice = median(seconds.host.map((taken, i) => taken / seconds.device[i]));
  console.log(JSON.stringify({ ...Object.fromEntries(told), hostOverDevice }));
}

main().then(() => process.exit(0));
