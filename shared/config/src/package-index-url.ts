import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { linesOf } from './read-text';
import { userHome } from './user-directories';

const PUBLIC_INDEX = 'https://pypi.org/simple';
/** The sections that pip reads for a download, the later before the earlier. */
const SECTIONS = ['global', 'download'];

/**
 * The package index of Python that pip would ask: `PIP_INDEX_URL`, else `index-url` of its configuration files, else the
 * public one. It may hold a user and a password.
 *
 * @see https://pip.pypa.io/en/stable/topics/configuration/
 */
export function packageIndexUrl(): string {
  const { PIP_INDEX_URL: given } = process.env;
  const found =
    given?.trim() ||
    configurationFiles()
      .map(indexIn)
      .findLast((url) => url !== null);
  return (found ?? PUBLIC_INDEX).replace(/\/+$/, '');
}

/** From the machine's to the user's; `PIP_CONFIG_FILE` comes last, and as /dev/null leaves all others out. */
function configurationFiles(): string[] {
  const { PIP_CONFIG_FILE: named, XDG_CONFIG_HOME, XDG_CONFIG_DIRS, VIRTUAL_ENV } = process.env;
  if (named === '/dev/null') return [];
  const home = userHome();
  const ofMachine = (XDG_CONFIG_DIRS || '/etc/xdg').split(':').reverse();
  return [
    ...ofMachine.map((dir) => join(dir, 'pip', 'pip.conf')),
    '/etc/pip.conf',
    join(home, '.pip', 'pip.conf'),
    join(XDG_CONFIG_HOME || join(home, '.config'), 'pip', 'pip.conf'),
    ...(VIRTUAL_ENV ? [join(VIRTUAL_ENV, 'pip.conf')] : []),
    ...(named ? [named] : []),
  ];
}

/** The index a file names; null for one that names none or can't be read, which pip passes over as well. */
function indexIn(file: string): string | null {
  let text;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return null;
  }
  const found = new Map<string, string>();
  let section = '';
  for (const line of linesOf(text)) {
    const header = /^\[(.+)\]\s*$/.exec(line);
    const setting = /^index[-_]url\s*[=:]\s*(\S+)\s*$/i.exec(line);
    if (header) section = header[1]!;
    else if (setting) found.set(section, setting[1]!);
  }
  return SECTIONS.flatMap((name) => found.get(name) ?? []).at(-1) ?? null;
}
