import { shownAddress } from '@forge/downloads';
import { ForgeError } from '@forge/errors';
import type { PinnedFile } from './tensorflow-release';

const JSON_PAGE = 'application/vnd.pypi.simple.v1+json';
/** Old indexes and many mirrors only have pages. */
const ACCEPTED = `${JSON_PAGE}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1`;

/** A file as an index lists it. */
interface Listed {
  filename: string;
  url: URL;
  /** Null where the index does not say. */
  sha256: string | null;
}

/**
 * Where an index of Python packages has a file. Its address has the user and the password of the index, where both are on
 * one server.
 *
 * @throws {ForgeError} CONTRACT_DOWNLOAD_CORRUPT when the index lists it with another hash; CONFIG_INVALID when it does not
 *   list it; as `fetch`, a `patientFetch` of the index.
 * @see https://packaging.python.org/en/latest/specifications/simple-repository-api/
 */
export async function locate(
  file: PinnedFile,
  indexUrl: string,
  fetch: typeof globalThis.fetch,
): Promise<URL> {
  const page = new URL(`${indexUrl}/${file.project}/`);
  const url = shownAddress(page);
  const response = await fetch(page, { headers: { accept: ACCEPTED } });
  const base = new URL(response.url);
  const isJson = /\bjson\b/.test(response.headers.get('content-type') ?? '');
  const text = await response.text();
  const listed = isJson ? filesOfJson(text, base) : filesOfHtml(text, base);
  const found = listed.find(({ filename }) => filename === file.filename);
  if (found === undefined) {
    const message = `${url} has no ${file.filename}; name an index that has it by PIP_INDEX_URL`;
    throw new ForgeError('CONFIG_INVALID', message, { url, filename: file.filename });
  }
  if (found.sha256 !== null && found.sha256 !== file.sha256) {
    const message = `${url} lists ${file.filename} with sha256 ${found.sha256}, expected ${file.sha256}; it is not the file that was published: ask those who run the index, or name another one by PIP_INDEX_URL`;
    throw new ForgeError('CONTRACT_DOWNLOAD_CORRUPT', message, {
      url,
      found: found.sha256,
      expected: file.sha256,
    });
  }
  return withCredentials(found.url, page);
}

function filesOfJson(text: string, base: URL): Listed[] {
  const { files } = JSON.parse(text) as {
    files: { filename: string; url: string; hashes?: { sha256?: string } }[];
  };
  return files.map(({ filename, url, hashes }) => ({
    filename,
    url: new URL(url, base),
    sha256: hashes?.sha256 ?? null,
  }));
}

function filesOfHtml(text: string, base: URL): Listed[] {
  return [...text.matchAll(/<a\s[^>]*?href\s*=\s*(?:"([^"]*)"|'([^']*)')/gi)].map(([, double, single]) => {
    const url = new URL((double ?? single ?? '').replaceAll('&amp;', '&'), base);
    const filename = decodeURIComponent(url.pathname.split('/').at(-1) ?? '');
    const sha256 = /^#sha256=([0-9a-f]{64})$/.exec(url.hash)?.[1] ?? null;
    url.hash = '';
    return { filename, url, sha256 };
  });
}

function withCredentials(url: URL, { origin, username, password }: URL): URL {
  if (url.origin !== origin || url.username !== '') return url;
  return Object.assign(new URL(url), { username, password });
}
