/** Buckets per factor of two: a quantile is off by at most 2^(1/16) - 1, about 4.4 %. */
const PER_OCTAVE = 8;
const SMALLEST_MS = 0.001;
const BUCKETS = PER_OCTAVE * 32;

/** Latencies from a microsecond to an hour, in buckets of equal relative width; constant memory. */
export class LatencyHistogram {
  private readonly counts = new Float64Array(BUCKETS);
  private total = 0;
  private sumMs = 0;

  get count(): number {
    return this.total;
  }

  /** 0 without samples. */
  get meanMs(): number {
    return this.total === 0 ? 0 : this.sumMs / this.total;
  }

  add(ms: number): void {
    const octaves = Math.log2(Math.max(ms, SMALLEST_MS) / SMALLEST_MS);
    const at = Math.min(BUCKETS - 1, Math.floor(octaves * PER_OCTAVE));
    this.counts[at]! += 1;
    this.total += 1;
    this.sumMs += ms;
  }

  addAll(other: LatencyHistogram): void {
    for (let at = 0; at < BUCKETS; at++) this.counts[at]! += other.counts[at]!;
    this.total += other.total;
    this.sumMs += other.sumMs;
  }

  /** The latency that a share `q` of the samples does not exceed, to the bucket's middle; 0 without samples. */
  quantile(q: number): number {
    if (this.total === 0) return 0;
    const wanted = Math.max(1, Math.ceil(q * this.total));
    let seen = 0;
    let at = 0;
    while (at < BUCKETS - 1 && (seen += this.counts[at]!) < wanted) at++;
    return SMALLEST_MS * 2 ** ((at + 0.5) / PER_OCTAVE);
  }
}
