import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { sendFile, type FileFault } from './send-file';

/** A file as it must be, wherever it is fetched. */
interface PinnedFile {
  /** Name of the project in the index. */
  project: string;
  filename: string;
  sizeBytes: number;
  sha256: string;
}

/** An index of Python packages with files of its own, and npm's routes, on this machine. */
export interface IndexServer {
  /** Value of `PIP_INDEX_URL`. */
  url: string;
  /** Value of `npm_config_registry`. */
  registry: string;
  /** Every request: path, and range where one was asked for. */
  requests: string[];
  faults: Faults;
  addFile: (project: string, filename: string, bytes: Buffer) => PinnedFile;
  addPackage: (name: string, version: string, tarball: Buffer) => void;
  close: () => Promise<void>;
}

interface Faults extends FileFault {
  /** Pages in HTML, as of an old mirror. */
  isHtml?: boolean;
  /** Listed in place of every hash. */
  listedHash?: string;
  /** Every page has this status. */
  status?: number;
  /** User and password that are asked for. */
  credentials?: string;
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

export async function startIndexServer(): Promise<IndexServer> {
  const files = new Map<string, { project: string; bytes: Buffer }>();
  const packages = new Map<string, { version: string; tarball: Buffer }>();
  const requests: string[] = [];
  const faults: Faults = {};
  const server = createServer((request, response) => {
    answer(request, response, { files, packages, requests, faults });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: `${origin}/simple`,
    registry: `${origin}/npm/`,
    requests,
    faults,
    addFile: (project, filename, bytes) => {
      files.set(filename, { project, bytes });
      return { project, filename, sizeBytes: bytes.length, sha256: sha256(bytes) };
    },
    addPackage: (name, version, tarball) => {
      packages.set(name, { version, tarball });
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  {
    files,
    packages,
    requests,
    faults,
  }: Pick<IndexServer, 'requests' | 'faults'> & {
    files: ReadonlyMap<string, { project: string; bytes: Buffer }>;
    packages: ReadonlyMap<string, { version: string; tarball: Buffer }>;
  },
): void {
  const path = decodeURIComponent(request.url ?? '');
  const { range, authorization, host } = request.headers;
  requests.push(range === undefined ? path : `${path} ${range}`);
  const [, kind, ...rest] = path.split('/');
  if (kind === 'npm') {
    answerNpm(response, rest, `http://${host}`, packages);
    return;
  }
  const { credentials } = faults;
  const isKnown =
    credentials === undefined || authorization === `Basic ${Buffer.from(credentials).toString('base64')}`;
  const status = isKnown ? (faults.status ?? 200) : 401;
  if (status !== 200) response.writeHead(status).end();
  else if (kind === 'simple') answerPage(response, rest[0] ?? '', files, faults);
  else {
    const file = files.get(rest[0] ?? '');
    if (file === undefined) response.writeHead(404).end();
    else sendFile(response, file.bytes, range, faults);
  }
}

function answerPage(
  response: ServerResponse,
  project: string,
  files: ReadonlyMap<string, { project: string; bytes: Buffer }>,
  { isHtml, listedHash }: Faults,
): void {
  const listed = [...files].filter(([, file]) => file.project === project);
  if (listed.length === 0) {
    response.writeHead(404).end();
    return;
  }
  if (isHtml) {
    const links = listed.map(
      ([name, { bytes }]) =>
        `<a data-requires-python="&gt;=3.9" href='../../files/${encodeURIComponent(name)}?a=1&amp;b=2#sha256=${listedHash ?? sha256(bytes)}'>${name}</a><br/>`,
    );
    response
      .writeHead(200, { 'content-type': 'text/html' })
      .end(`<html><body>${links.join('\n')}</body></html>`);
    return;
  }
  const entries = listed.map(([filename, { bytes }]) => ({
    filename,
    url: `../../files/${filename}`,
    hashes: { sha256: listedHash ?? sha256(bytes) },
  }));
  response
    .writeHead(200, { 'content-type': 'application/vnd.pypi.simple.v1+json' })
    .end(JSON.stringify({ meta: { 'api-version': '1.0' }, name: project, files: entries }));
}

/** The routes that `npm pack` asks: the document of a package, and its file. */
function answerNpm(
  response: ServerResponse,
  path: readonly string[],
  origin: string,
  packages: ReadonlyMap<string, { version: string; tarball: Buffer }>,
): void {
  const name = path.filter((part) => part !== '-' && !part.endsWith('.tgz')).join('/');
  const found = packages.get(name);
  if (found === undefined) {
    response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"not found"}');
    return;
  }
  const { version, tarball } = found;
  if (path.at(-1)?.endsWith('.tgz')) {
    response.writeHead(200).end(tarball);
    return;
  }
  const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`;
  const dist = { tarball: `${origin}/npm/${name}/-/package.tgz`, integrity };
  response.writeHead(200, { 'content-type': 'application/json' }).end(
    JSON.stringify({
      name,
      'dist-tags': { latest: version },
      versions: { [version]: { name, version, dist } },
    }),
  );
}
