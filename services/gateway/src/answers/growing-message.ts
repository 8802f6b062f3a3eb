const THINKING = { open: '<think>', close: '</think>' };
/** Texts that a call of a tool may begin with. */
const CALLS = ['<tool_call>', '<function=', '<|python_tag|>', '[TOOL_CALLS]'];

/** The parts of an answer that it is sure to have, whatever follows, from its text so far. */
export class GrowingMessage {
  constructor(private readonly hasTools: boolean) {}

  /** Each call has the same and more. */
  settled(text: string): { reasoning: string; content: string } {
    const start = text.trimStart();
    if (THINKING.open.startsWith(start)) return { reasoning: '', content: '' };
    if (!start.startsWith(THINKING.open)) return { reasoning: '', content: this.content(text) };
    const inside = start.slice(THINKING.open.length).trimStart();
    const end = inside.indexOf(THINKING.close);
    if (end < 0) return { reasoning: before(inside, [THINKING.close]), content: '' };
    return {
      reasoning: inside.slice(0, end).trimEnd(),
      content: this.content(inside.slice(end + THINKING.close.length).trimStart()),
    };
  }

  private content(text: string): string {
    if (!this.hasTools) return text.trimEnd();
    // A bare object may be a call.
    return /^\s*[{[]/.test(text) ? '' : before(text, CALLS);
  }
}

/** The text before the first of `marks` and the white space in front of it, or before what may begin one at its end. */
function before(text: string, marks: readonly string[]): string {
  const found = marks.map((mark) => placeOf(mark, text));
  return text.slice(0, Math.min(...found)).trimEnd();
}

function placeOf(mark: string, text: string): number {
  const whole = text.indexOf(mark);
  if (whole >= 0) return whole;
  let length = Math.min(mark.length - 1, text.length);
  while (!text.endsWith(mark.slice(0, length))) length -= 1;
  return text.length - length;
}
