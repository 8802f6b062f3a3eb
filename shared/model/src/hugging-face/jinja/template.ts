import { Environment, parse, tokenize } from '@huggingface/jinja';
import { dictOf } from './container-methods';
import { CLOCK, JinjaInterpreter, setVariable, TemplateRefusal } from './interpreter';
import { printed } from './printed';
import { strftime } from './strftime';
import { callable, integer, isInteger, kindOf, list, text, textArgument, type Value } from './value';

/** Renders with variables; `date` (YYYY-MM-DD) is the day `strftime_now` tells. */
export type JinjaTemplate = (
  variables: Readonly<Record<string, unknown>>,
  date: string | undefined,
) => string;

/**
 * A template that renders as Jinja does with the settings of transformers.
 *
 * @throws {Error} when it does not parse; (the template) TemplateRefusal, or Error naming what can't be done.
 */
export function jinjaTemplate(source: string): JinjaTemplate {
  const lines = source.replace(/\r\n?/g, '\n');
  const program = parse(tokenize(lines, { trim_blocks: true, lstrip_blocks: true }));
  return (variables, date) => {
    const scope = new Environment();
    for (const [name, value] of Object.entries({ ...CONSTANTS, ...variables })) scope.set(name, value);
    for (const [name, value] of Object.entries(globals(date))) setVariable(scope, name, value);
    return printed(new JinjaInterpreter(scope).run(program));
  };
}

/** The bound of Jinja's sandbox. */
const LONGEST_RANGE = 100_000;
const CONSTANTS = { true: true, false: false, none: null, True: true, False: false, None: null };

function globals(date: string | undefined): Record<string, Value> {
  return {
    dict: callable(dictOf),
    range: callable(({ positional }) => list(rangeOf(positional))),
    raise_exception: callable(({ positional: [message] }) => {
      throw new TemplateRefusal(message === undefined ? 'refused' : printed(message));
    }),
    [CLOCK]: callable((args) => {
      if (date === undefined) throw new Error('strftime_now(), but no date is set; set date: YYYY-MM-DD');
      return text(strftime(date, textArgument(args, 0, 'format') ?? ''));
    }),
  };
}

function rangeOf(positional: readonly Value[]): Value[] {
  const given = positional.map((value) => {
    if (isInteger(value)) return value.value;
    throw new Error(`range: found ${kindOf(value)}, expected whole numbers`);
  });
  const [start = 0, stop = 0, step = 1] = given.length === 1 ? [0, given[0]!] : given;
  if (step === 0) throw new Error('range: the step is 0');
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (length > LONGEST_RANGE)
    throw new Error(`range: found ${length} numbers, expected at most ${LONGEST_RANGE}`);
  return Array.from({ length }, (_, i) => integer(start + i * step));
}
