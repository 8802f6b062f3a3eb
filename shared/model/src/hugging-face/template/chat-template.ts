import path from 'node:path';
import type { ChatMessage, ToolSpec } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { TemplateRefusal } from '../jinja/interpreter';
import { jinjaTemplate, type JinjaTemplate } from '../jinja/template';
import { jsonOf, textOf, type ModelFiles } from '../model-files';
import { templateInput } from './template-messages';
import { templateTraits, type TemplateTraits } from './template-traits';

/** Turns messages into the text a chat model was trained on. */
export interface ChatTemplate {
  /** Text of the messages, up to where the assistant begins to speak unless `asks` (default true) is false. */
  render(messages: readonly ChatMessage[], tools?: readonly ToolSpec[], how?: { asks: boolean }): string;
  readonly traits: TemplateTraits;
  /** Whether the text ends where the assistant has begun to think already. */
  readonly opensThinking: boolean;
}

interface ChatTemplateOptions {
  readonly specialTexts: Readonly<Record<string, string | undefined>>;
  /** The day told to templates that ask for it (YYYY-MM-DD). */
  readonly date: string | undefined;
}

/**
 * The chat template of a model: `chat_template.jinja`, or `chat_template` of `tokenizer_config.json` (of several,
 * the one named "default").
 *
 * @throws {ForgeError} (the template, when it is used) CONFIG_TOKENIZER_INVALID when the model has none, or it does not
 * parse or does what we can't; CONFIG_DATASET_INVALID when it refuses the messages.
 */
export function chatTemplate(
  files: ModelFiles,
  dir: string,
  { specialTexts, date }: ChatTemplateOptions,
): ChatTemplate {
  const source = templateSource(files, dir);
  const traits = templateTraits(source ?? '');
  let template: JinjaTemplate | undefined;
  const render: ChatTemplate['render'] = (messages, tools = [], { asks } = { asks: true }) => {
    template ??= parse(source, dir);
    if (tools.length > 0 && traits.callForm === null) throw unreadableCalls(dir);
    try {
      const variables = {
        ...specialTexts,
        ...templateInput(messages, tools, traits),
        documents: null,
        add_generation_prompt: asks,
      };
      return template(variables, date);
    } catch (cause) {
      throw renderFault(dir, cause as Error);
    }
  };
  let opensThinking: boolean | undefined;
  return {
    render,
    traits,
    get opensThinking() {
      return (opensThinking ??= render([{ role: 'user', content: 'a' }])
        .trimEnd()
        .endsWith('<think>'));
    },
  };
}

function renderFault(dir: string, cause: Error): ForgeError {
  if (cause instanceof TemplateRefusal) {
    const message = `messages refused by the chat template of ${dir}: ${cause.message}`;
    return new ForgeError('CONFIG_DATASET_INVALID', message, { dir }, { cause });
  }
  const message = `${dir}: the chat template has ${cause.message}`;
  return new ForgeError('CONFIG_TOKENIZER_INVALID', message, { dir }, { cause });
}

function unreadableCalls(dir: string): ForgeError {
  const message =
    `${dir}: the chat template tells of tools, and has calls of them in a form that is not known here; ` +
    'known are <tool_call> with JSON or <function=name>, and JSON with "name" and "parameters": ' +
    'give a chat_template.jinja with one of these, or describe the tools in a message and leave out tools';
  return new ForgeError('CONFIG_TOKENIZER_INVALID', message, { dir });
}

function parse(source: string | undefined, dir: string): JinjaTemplate {
  if (source === undefined) {
    const message =
      `${path.join(dir, 'tokenizer_config.json')}: found no chat_template, nor a chat_template.jinja beside it; ` +
      'give prompts as text instead of messages, or use a chat model';
    throw new ForgeError('CONFIG_TOKENIZER_INVALID', message, { dir });
  }
  try {
    return jinjaTemplate(source);
  } catch (cause) {
    const message = `${dir}: the chat template does not parse: ${(cause as Error).message}`;
    throw new ForgeError('CONFIG_TOKENIZER_INVALID', message, { dir }, { cause });
  }
}

function templateSource(files: ModelFiles, dir: string): string | undefined {
  const jinja = textOf(files, 'chat_template.jinja', dir);
  if (jinja !== undefined) return jinja;
  const templates = jsonOf(files, 'tokenizer_config.json', dir)?.['chat_template'] ?? undefined;
  if (templates === undefined || typeof templates === 'string') return templates;
  const named = namedTemplates(templates);
  const source = named.get('default');
  if (source !== undefined) return source;
  const file = path.join(dir, 'tokenizer_config.json');
  const found = named.size === 0 ? typeof templates : [...named.keys()].join(', ');
  const message = `${file}: chat_template: found ${found}, expected text, or several templates of which one is named default`;
  throw new ForgeError('CONFIG_TOKENIZER_INVALID', message, { file });
}

/** Templates by name, of a list of `{ name, template }` or a mapping. */
function namedTemplates(templates: unknown): Map<string, string> {
  const pairs: unknown[][] = Array.isArray(templates)
    ? (templates as { name?: unknown; template?: unknown }[]).map((each) => [each?.name, each?.template])
    : Object.entries(templates as object);
  return new Map(
    (pairs as [string, string][]).filter((pair) => pair.every((part) => typeof part === 'string')),
  );
}
