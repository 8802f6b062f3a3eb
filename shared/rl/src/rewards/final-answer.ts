/**
 * The answer of a text by the marks people agree on: the last `\boxed{…}` that is closed, else the rest of the last line with
 * `####`, else the last `<answer>…</answer>`. Null without any.
 */
export function finalAnswer(text: string): string | null {
  return lastBoxed(text) ?? afterHashes(text) ?? insideTags(text);
}

/** A box, a brace, or a backslash or brace that is escaped and means itself. */
const BOX_OR_BRACE = /\\(?:boxed|fbox)\s?\{|\\[\\{}]|[{}]/g;

/** The content of the closed box that is opened last, braces inside it included. */
function lastBoxed(text: string): string | null {
  let [start, end] = [0, 0];
  /** Start of the content of each open box; 0 for another brace. */
  const opened: number[] = [];
  for (const { 0: found, index } of text.matchAll(BOX_OR_BRACE)) {
    const content = index + found.length;
    if (found === '}') {
      const begun = opened.pop() ?? 0;
      if (begun > start) [start, end] = [begun, index];
    } else if (found === '{') opened.push(0);
    else if (found.length > 2) opened.push(content);
  }
  return nonEmpty(text.slice(start, end));
}

function afterHashes(text: string): string | null {
  const at = text.lastIndexOf('####');
  return at < 0 ? null : nonEmpty(/^[^\n\r]*/.exec(text.slice(at + 4))![0]);
}

function insideTags(text: string): string | null {
  const end = text.lastIndexOf('</answer>');
  const start = end < 0 ? -1 : text.lastIndexOf('<answer>', end);
  return start < 0 ? null : nonEmpty(text.slice(start + '<answer>'.length, end));
}

function nonEmpty(text: string): string | null {
  return text.trim() === '' ? null : text.trim();
}
