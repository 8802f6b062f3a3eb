import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { samplingSchema, type Sampling } from '@forge/contracts';
import { createEngine } from '@forge/engine';
import {
  Generator,
  loadModel,
  LogprobScorer,
  mergeAdapter,
  readAdapter,
  type LoadedModel,
} from '@forge/model';
import { readSafetensors, type Parameters } from '@forge/weights';

type Json = Record<string, unknown>;
/** Fate of one request, in place of its answer or with it. */
export type Fault = (response: ServerResponse, answer: () => Promise<unknown>) => Promise<void> | void;

export const answersStatus =
  (status: number, headers: Record<string, string> = {}, body: object = { detail: 'no' }): Fault =>
  (response) => {
    response.writeHead(status, headers).end(JSON.stringify(body));
  };
export const hangs: Fault = () => undefined;
export const breaksOff: Fault = (response) => void response.socket?.destroy();
export const breaksOffWithin: Fault = async (response, answer) => {
  const text = JSON.stringify(await answer());
  response.writeHead(200, { 'content-length': text.length });
  response.write(text.slice(0, text.length / 2), () => response.socket?.destroy());
};
/** The answer as `change` leaves it. */
export const altered =
  (change: (answer: Json) => unknown): Fault =>
  async (response, answer) => {
    const changed = change((await answer()) as Json);
    response.end(typeof changed === 'string' ? changed : JSON.stringify(changed));
  };

/** One set of weights, and what generates with it. */
interface Weights {
  generator: Generator;
  parameters: Parameters;
}

interface Drawn {
  tokenIds: number[];
  logprobs: number[];
  reason: 'stop' | 'length' | 'abort';
}

const BASE = 'base';
const engine = createEngine({ threads: 1 });

/**
 * A server that speaks the routes of SGLang and vLLM that are documented, computes with our own generator, and breaks when it
 * is told to.
 */
export class StandInServer {
  readonly asked: { path: string; body: Json; headers: IncomingMessage['headers'] }[] = [];
  /** Version of the weights as it tells it. */
  weightVersion = 'default';
  /** Whether it says that it takes weights, and does not. */
  ignoresWeights = false;
  /** Largest number of requests under way at a time, and those under way. */
  underWay = new Set<AbortController>();
  private held: { after: number; reached: () => void; released: Promise<void> } | null = null;
  private readonly sockets = new Set<Socket>();
  private readonly faults = new Map<string, Fault[]>();
  private readonly adapters = new Map<string, Weights>();
  private base!: Weights;
  private isPaused = false;
  private waiting: (() => void)[] = [];
  private scorer!: LogprobScorer;
  private versions = 0;

  private constructor(
    private readonly model: LoadedModel,
    private server: Server,
    readonly port: number,
    private readonly chunk: number,
  ) {}

  /** `chunk`: tokens decoded before it looks whether it was paused. */
  static async start(model: string, { chunk = 4 }: { chunk?: number } = {}): Promise<StandInServer> {
    const server = createServer();
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const standIn = new StandInServer(
      await loadModel(model),
      server,
      (server.address() as AddressInfo).port,
      chunk,
    );
    await standIn.begin();
    return standIn;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Bodies of the requests of a path. */
  askedOf(path: string): Json[] {
    return this.asked.filter((one) => one.path.startsWith(path)).map(({ body }) => body);
  }

  /** Fates of the next requests of a path, one each. */
  willFail(path: string, ...faults: Fault[]): void {
    this.faults.set(path, faults);
  }

  /** Holds requests once they have so many tokens: resolves when one is held, with what lets them go on. */
  hold(after: number): Promise<() => void> {
    return new Promise((resolve) => {
      let release = (): void => undefined;
      const released = new Promise<void>((resume) => (release = resume));
      const letGo = (): void => {
        this.held = null;
        release();
      };
      this.held = { after, reached: () => resolve(letGo), released };
    });
  }

  /** Ends like a process that is killed. */
  async die(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
    for (const { generator } of [this.base, ...this.adapters.values()]) await generator.close();
    await this.scorer.release();
    this.adapters.clear();
  }

  /** Starts anew at the same address, with the weights of its model. */
  async startAgain(): Promise<void> {
    this.server = createServer();
    await once(this.server.listen(this.port, '127.0.0.1'), 'listening');
    this.weightVersion = 'default';
    this.isPaused = false;
    this.held = null;
    this.faults.clear();
    await this.begin();
  }

  private async begin(): Promise<void> {
    const { config, parameters } = this.model;
    this.base = await this.generating(parameters);
    this.scorer = await LogprobScorer.create({
      engine,
      config,
      parameters,
      weightMode: 'inputs',
      maxBatchTokens: 4096,
    });
    this.server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
    this.server.on('request', (request, response) => void this.serve(request, response));
  }

  private async generating(parameters: Parameters): Promise<Weights> {
    const { config, tokenizer } = this.model;
    const generator = await Generator.create({
      ...{ engine, config, parameters, version: 0, maxBatch: 64, chunk: this.chunk, weightMode: 'inputs' },
      endTokenIds: tokenizer.endTokenIds,
      decodeText: (ids, options) => tokenizer.decode(ids, options),
      specialTokens: tokenizer.specialTokens,
    });
    return { generator, parameters };
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const part of request) text += String(part);
    const path = request.url!;
    const body = (text === '' ? {} : JSON.parse(text)) as Json;
    this.asked.push({ path, body, headers: request.headers });
    const ending = new AbortController();
    response.on('close', () => ending.abort());
    const answer = async () => this.answer(path, body, ending);
    const fault = this.faults.get(path)?.shift();
    try {
      if (fault !== undefined) return await fault(response, answer);
      response.end(JSON.stringify(await answer()));
    } catch (error) {
      const { status = 500, message } = error as { status?: number; message: string };
      if (!response.destroyed) response.writeHead(status).end(JSON.stringify({ error: { message } }));
    }
  }

  private answer(path: string, body: Json, ending: AbortController): unknown {
    switch (path) {
      case '/health':
        return {};
      case '/v1/models':
        return { data: [{ id: BASE }, ...[...this.adapters.keys()].map((id) => ({ id }))] };
      case '/generate':
        return this.sglangGenerate(body, ending);
      case '/v1/completions':
        return this.completions(body, ending);
      case '/update_weights_from_disk':
        return this.takeWeights(body['model_path'] as string, body['weight_version'] as string);
      case '/collective_rpc':
        return this.takeWeights((body['kwargs'] as { weights_path: string }).weights_path, null);
      case '/reset_prefix_cache':
        return { success: true };
      case '/update_weight_version':
        this.weightVersion = body['new_version'] as string;
        return { success: true };
      case '/weight_info':
        return { weight_version: this.weightVersion };
      case '/load_lora_adapter':
      case '/v1/load_lora_adapter':
        return this.takeAdapter(body['lora_name'] as string, body['lora_path'] as string);
      case '/unload_lora_adapter':
      case '/v1/unload_lora_adapter':
        this.adapters.delete(body['lora_name'] as string);
        return { success: true };
      case '/pause_generation':
      case '/pause?mode=abort':
        this.isPaused = true;
        for (const one of this.underWay) one.abort();
        return {};
      case '/continue_generation':
      case '/resume':
        this.isPaused = false;
        for (const wake of this.waiting.splice(0)) wake();
        return {};
      default:
        throw Object.assign(new Error(`no route ${path}`), { status: 404 });
    }
  }

  private async takeWeights(folder: string, version: string | null): Promise<unknown> {
    const parameters = await readSafetensors(join(folder, 'model.safetensors'));
    if (!this.ignoresWeights) {
      await this.base.generator.applyWeights(++this.versions, parameters);
      this.base.parameters = parameters;
    }
    if (version !== null) this.weightVersion = version;
    return { success: true, message: 'ok', results: [null] };
  }

  private async takeAdapter(name: string, folder: string): Promise<unknown> {
    if (this.adapters.has(name))
      throw Object.assign(new Error(`${name} has already been loaded`), { status: 400 });
    const { scale, parameters } = await readAdapter(folder);
    const merged = this.ignoresWeights
      ? this.model.parameters
      : mergeAdapter(this.model.parameters, parameters, scale);
    this.adapters.set(name, await this.generating(merged));
    return { success: true };
  }

  private weightsOf(name: unknown): Weights {
    const found = name === undefined || name === BASE ? this.base : this.adapters.get(name as string);
    if (found !== undefined) return found;
    throw Object.assign(new Error(`The model ${String(name)} does not exist.`), { status: 404 });
  }

  private async sglangGenerate(body: Json, ending: AbortController): Promise<unknown> {
    const asked = body['sampling_params'] as Json;
    const tokenIds = body['input_ids'] as number[];
    const adapter = body['lora_path'] as string | undefined;
    if (adapter !== undefined && !this.adapters.has(adapter)) {
      const message = `The following requested LoRA adapters are not loaded: ${adapter}`;
      throw Object.assign(new Error(message), { status: 400 });
    }
    const weights = this.weightsOf(adapter);
    const isScored = body['logprob_start_len'] === 0;
    const scored = isScored ? await this.score(weights, tokenIds) : [];
    const {
      tokenIds: drawn,
      logprobs,
      reason,
    } = await this.draw(
      weights,
      tokenIds,
      {
        temperature: asked['temperature'],
        topP: asked['top_p'],
        topK: asked['top_k'] === -1 ? 0 : asked['top_k'],
        maxTokens: asked['max_new_tokens'],
        stop: asked['stop'],
      },
      asked['sampling_seed'] as number | undefined,
      ending,
    );
    return {
      text: '',
      output_ids: drawn,
      meta_info: {
        finish_reason: { type: reason },
        weight_version: this.weightVersion,
        output_token_logprobs: drawn.map((id, t) => [logprobs[t], id, null]),
        ...(isScored && {
          input_token_logprobs: tokenIds.map((id, t) => [t === 0 ? null : scored[t], id, null]),
        }),
      },
    };
  }

  private async completions(body: Json, ending: AbortController): Promise<unknown> {
    const tokenIds = body['prompt'] as number[];
    const weights = this.weightsOf(body['model']);
    const scored = body['prompt_logprobs'] === undefined ? null : await this.score(weights, tokenIds);
    const {
      tokenIds: drawn,
      logprobs,
      reason,
    } = await this.draw(
      weights,
      tokenIds,
      {
        temperature: body['temperature'],
        topP: body['top_p'],
        topK: body['top_k'],
        maxTokens: body['max_tokens'],
        stop: body['stop'],
      },
      body['seed'] as number | undefined,
      ending,
    );
    const choice = {
      index: 0,
      text: '',
      finish_reason: reason,
      logprobs: { tokens: drawn.map(String), token_logprobs: logprobs },
      ...(body['return_token_ids'] === true && { token_ids: drawn }),
      ...(scored !== null && {
        prompt_logprobs: tokenIds.map((id, t) => (t === 0 ? null : { [id]: { logprob: scored[t] } })),
      }),
    };
    return { id: 'cmpl-1', object: 'text_completion', model: BASE, choices: [choice] };
  }

  private async score({ parameters }: Weights, tokenIds: readonly number[]): Promise<number[]> {
    const [scored] = await this.scorer.score([tokenIds], parameters);
    return scored!;
  }

  private async draw(
    { generator }: Pick<Weights, 'generator'>,
    promptTokenIds: readonly number[],
    given: { [Key in keyof Sampling]: unknown },
    seed = Math.floor(Math.random() * 2 ** 31),
    ending: AbortController,
  ): Promise<Drawn> {
    while (this.isPaused) await new Promise<void>((resolve) => this.waiting.push(resolve));
    const grown: Drawn = { tokenIds: [], logprobs: [], reason: 'abort' };
    const holding = new AbortController();
    this.underWay.add(ending);
    try {
      const [completion] = await generator.generate({
        promptTokenIds,
        rolloutIds: ['one'],
        seed,
        sampling: samplingSchema.parse(JSON.parse(JSON.stringify(given))),
        signal: AbortSignal.any([ending.signal, holding.signal]),
        onGrowth: ({ tokenIds, logprobs }) => {
          grown.tokenIds.push(...tokenIds);
          grown.logprobs.push(...logprobs);
          if (this.held !== null && grown.tokenIds.length >= this.held.after) holding.abort();
        },
      });
      const { tokenIds, logprobs, stopReason } = completion!;
      return { tokenIds, logprobs, reason: stopReason === 'length' ? 'length' : 'stop' };
    } catch (error) {
      if (ending.signal.aborted) return grown;
      if (!holding.signal.aborted) throw error;
      const { reached, released } = this.held!;
      reached();
      await Promise.race([
        released,
        new Promise((resolve) => ending.signal.addEventListener('abort', resolve)),
      ]);
      this.held = null;
      // The same seed draws the same again.
      return ending.signal.aborted ? grown : this.draw({ generator }, promptTokenIds, given, seed, ending);
    } finally {
      this.underWay.delete(ending);
    }
  }
}
