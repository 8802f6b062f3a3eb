import type { AnyTensor, DeviceTensor, Engine, Program, RunOutputs } from '@forge/engine';
import { concat, gather, Graph, reshape } from '@forge/graph';
import type { ModelConfig } from '../transformer/model-config';
import { HostCaches } from './host-caches';
import { cacheNames, cacheOfFeed, distinctCaches, newName, paddedLength, type KvCache } from './kv-cache';
import { positionIndex, type Stretch } from './position-index';
import type { RunningCaches } from './running-caches';

/** Place of the keys and values of a running sequence. */
interface Place {
  /** Row of the last batch, and the positions of it that are the sequence's. */
  row: number;
  length: number;
  /** Row of what decoding gave for that batch. */
  newRow: number;
}

/** Tensors of which a batch is made, by the number that a stretch names them with; the last where sequences join. */
const SOURCES = ['running', 'grown', 'joining'] as const;

/**
 * Keys and values in the memory of the device. A batch is put together there, out of the one before it and what decoding
 * has added; the host says by an index which position of which row goes where. A sequence that joins brings the keys and
 * values of its prompt from the host, once.
 */
export class DeviceCaches implements RunningCaches {
  readonly kept: readonly string[];
  private readonly names: readonly string[];
  private readonly prompts: HostCaches;
  /** The last batch, [C, kvHeads, P, headDim] by name. */
  private running: Record<string, DeviceTensor> = {};
  /** The row of it that each sequence has. */
  private rowOf: readonly number[] = [];
  /** Additions of decoding, [B, kvHeads, T, headDim] by name. */
  private grown: Record<string, DeviceTensor> = {};
  private places = new Map<KvCache, Place>();
  /** By the number of their sources. */
  private readonly programs = new Map<number, Program>();

  constructor(
    private readonly engine: Engine,
    private readonly config: ModelConfig,
  ) {
    this.names = cacheNames(config.layers);
    this.kept = this.names.map(newName);
    this.prompts = new HostCaches(config);
  }

  async batch(caches: readonly KvCache[]): Promise<Record<string, AnyTensor>> {
    const { distinct, cacheOf } = distinctCaches(caches);
    if (distinct.every(({ ownLength }) => ownLength === 0)) await this.begin(distinct);
    else await this.goOn(distinct);
    this.rowOf = cacheOf;
    return { ...this.running, cacheOf: cacheOfFeed(cacheOf) };
  }

  append(caches: readonly KvCache[], { kept }: RunOutputs, count: number): void {
    this.grown = Object.fromEntries(this.names.map((name) => [name, kept[newName(name)]!]));
    this.places = new Map(
      caches.map((cache, i) => [cache, { row: this.rowOf[i]!, length: cache.length, newRow: i }]),
    );
    for (const cache of caches) cache.ownLength += count;
  }

  clear(): void {
    for (const tensor of [...Object.values(this.running), ...Object.values(this.grown)]) tensor.dispose();
    [this.running, this.grown] = [{}, {}];
    this.places.clear();
  }

  async close(): Promise<void> {
    this.clear();
    for (const program of this.programs.values()) await program.release();
    this.programs.clear();
  }

  /** A batch of prompts alone. */
  private async begin(prompts: readonly KvCache[]): Promise<void> {
    this.clear();
    for (const [name, tensor] of Object.entries(this.prompts.together(prompts)))
      this.running[name] = await this.engine.put(tensor);
  }

  /** A batch of which some have run before. */
  private async goOn(caches: readonly KvCache[]): Promise<void> {
    const joining = caches.filter(({ ownLength }) => ownLength === 0);
    const joined = joining.length === 0 ? {} : this.prompts.together(joining);
    const sourcesOf = (name: string): Record<string, AnyTensor> => ({
      ...{ running: this.running[name]!, grown: this.grown[name]! },
      ...(joined[name] && { joining: joined[name] }),
    });
    const shapes = Object.values(sourcesOf(this.names[0]!)).map(({ shape }) => shape);
    const rows = caches.map((cache) => this.stretchesOf(cache, joining));
    const index = await this.engine.put(positionIndex(shapes, rows, paddedLength(caches)));
    try {
      const program = await this.programOf(shapes.length);
      for (const name of this.names) {
        const { kept } = await program.run({ ...sourcesOf(name), index }, { consumed: ['running', 'grown'] });
        this.running[name] = kept.batch!;
      }
    } finally {
      index.dispose();
    }
    this.grown = {};
  }

  /** The positions of a cache, by where they lie. */
  private stretchesOf(cache: KvCache, joining: readonly KvCache[]): Stretch[] {
    if (cache.ownLength === 0) return [{ source: 2, row: joining.indexOf(cache), length: cache.length }];
    const place = this.places.get(cache)!;
    return [
      { source: 0, row: place.row, length: place.length },
      { source: 1, row: place.newRow, length: cache.length - place.length },
    ];
  }

  private async programOf(sources: number): Promise<Program> {
    const program = this.programs.get(sources) ?? (await this.compile(SOURCES.slice(0, sources)));
    this.programs.set(sources, program);
    return program;
  }

  /**
   * The program that puts one of the caches together.
   *
   * Shapes: each source [R, kvHeads, T, headDim], index int64 [C, kvHeads, P] into the positions of all of them, end to
   * end -> batch [C, kvHeads, P, headDim].
   */
  private compile(sources: readonly string[]): Promise<Program> {
    const { kvHeads, headDim } = this.config;
    const graph = new Graph();
    const positions = sources.map((name) => {
      const source = graph.input(name, 'float32', [`${name}Rows`, kvHeads, `${name}Positions`, headDim]);
      return reshape(source, [-1, headDim]);
    });
    const index = graph.input('index', 'int64', ['C', kvHeads, 'P']);
    return this.engine.compile({ batch: gather(concat(positions, 0), index) }, { kept: ['batch'] });
  }
}
