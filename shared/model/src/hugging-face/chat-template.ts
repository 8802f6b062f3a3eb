import path from 'node:path';
import type { ChatMessage } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { Template } from '@huggingface/jinja';
import { jsonOf, type ModelFiles } from './model-files';

/** Turns messages into the text a chat model was trained on, up to where the assistant begins to speak. */
export type ChatTemplate = (messages: readonly ChatMessage[]) => string;

/** A prompt must not depend on the day; templates that ask for it have a fixed date to fall back on. */
const WITHOUT_CLOCK = '{% set strftime_now = undefined %}\n';

/**
 * The chat template of a model: `chat_template.jinja`, or `chat_template` of `tokenizer_config.json` (of several,
 * the one named "default").
 *
 * @throws {ForgeError} (the template, when it is used) CONFIG_TOKENIZER_INVALID when the model has none or it does
 * not parse; CONFIG_DATASET_INVALID when it refuses the messages.
 */
export function chatTemplate(
  files: ModelFiles,
  specialTokens: Readonly<Record<string, string | undefined>>,
  dir: string,
): ChatTemplate {
  const source = templateSource(files, dir);
  let template: Template | undefined;
  return (messages) => {
    template ??= parse(source, dir);
    try {
      return template.render({ ...specialTokens, messages, add_generation_prompt: true });
    } catch (cause) {
      const message = `messages refused by the chat template of ${dir}: ${(cause as Error).message}`;
      throw new ForgeError('CONFIG_DATASET_INVALID', message, { dir }, { cause });
    }
  };
}

function parse(source: string | undefined, dir: string): Template {
  if (source === undefined) {
    const message =
      `${path.join(dir, 'tokenizer_config.json')}: found no chat_template, nor a chat_template.jinja beside it; ` +
      'give prompts as text instead of messages, or use a chat model';
    throw new ForgeError('CONFIG_TOKENIZER_INVALID', message, { dir });
  }
  try {
    return new Template(WITHOUT_CLOCK + source);
  } catch (cause) {
    const message = `${dir}: the chat template does not parse: ${(cause as Error).message}`;
    throw new ForgeError('CONFIG_TOKENIZER_INVALID', message, { dir }, { cause });
  }
}

function templateSource(files: ModelFiles, dir: string): string | undefined {
  const jinja = files.get('chat_template.jinja');
  if (jinja !== undefined) return new TextDecoder().decode(jinja);
  const templates = jsonOf(files, 'tokenizer_config.json', dir)?.['chat_template'];
  if (typeof templates === 'string') return templates;
  if (!Array.isArray(templates)) return undefined;
  return (templates as { name?: string; template?: string }[]).find(({ name }) => name === 'default')
    ?.template;
}
