const NUMBER = String.raw`-?\d+(?:\.\d+)?`;
/** The mark of a score, with whatever stands around it: Score: 7, **Score**: 7/10, "score": 7. */
const MARKED = new RegExp(
  String.raw`\bscore\b["*_\x60\s]{0,6}[:=]["*_\x60\s]{0,6}(${NUMBER})(?![\d.]*\d)`,
  'gi',
);
const ALONE = new RegExp(`^${NUMBER}$`);

/**
 * The score that a judge's reply gives: the number behind its last mark `Score:`, as a field of JSON has it, too, or the reply
 * itself where it is a number. Null where there is none between `min` and `max`.
 */
export function readScore(reply: string, { min, max }: { min: number; max: number }): number | null {
  const text = reply.trim();
  const marked = [...text.matchAll(MARKED)].at(-1)?.[1];
  const written = marked ?? (ALONE.test(text) ? text : null);
  const score = written === null ? NaN : Number(written);
  return score >= min && score <= max ? score : null;
}
