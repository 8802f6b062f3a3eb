import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { sendFile, type FileFault } from './send-file';

/** A repository of the test's hub: its files by path, at each of its commits. */
export interface HubFiles {
  kind?: 'model' | 'dataset';
  /** `org/name`. */
  name: string;
  files: Readonly<Record<string, string | Uint8Array>>;
  /** Branches and tags other than `main`, with files of their own. */
  branches?: Readonly<Record<string, Readonly<Record<string, string | Uint8Array>>>>;
}

/** How an answer goes wrong. */
export type HubFault = FileFault & { status?: number; headers?: Record<string, string>; body?: string };

export interface HubRequest {
  method: string;
  url: string;
  authorization: string | undefined;
  range: string | undefined;
  /** Whether it came to the server that large files are redirected to. */
  isOfStore: boolean;
}

interface Commit {
  sha: string;
  files: Map<string, Buffer>;
}

/** Files from this size on are large ones, which have a sha256 and are redirected to another origin. */
const LARGE_BYTES = 2_000;
const PAGE = 3;

/** A server with the routes of the Hugging Face hub that downloads take, on the loopback interface. */
export class HubServer {
  /** Every request, oldest first. */
  readonly requests: HubRequest[] = [];
  /** The fault of a request, if any. */
  fault: (request: HubRequest) => HubFault | null = () => null;
  /** Changes the sizes that trees list. */
  listedBytes: (path: string, bytes: number) => number = (_path, bytes) => bytes;
  readonly #repositories = new Map<string, Map<string, Commit>>();

  private constructor(
    private readonly hub: Server,
    private readonly store: Server,
  ) {}

  static async start(repositories: readonly HubFiles[]): Promise<HubServer> {
    const [hub, store] = [createServer(), createServer()];
    const server = new HubServer(hub, store);
    for (const repository of repositories) server.put(repository);
    hub.on('request', (request, response) => {
      server.answer(request, response, false);
    });
    store.on('request', (request, response) => {
      server.answer(request, response, true);
    });
    for (const one of [hub, store]) await new Promise<void>((resolve) => one.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get endpoint(): string {
    return addressOf(this.hub);
  }

  /** Adds a repository, or commits to it anew. */
  put({ kind = 'model', name, files, branches = {} }: HubFiles): void {
    const commits = new Map(
      Object.entries({ main: files, ...branches }).map(([branch, content]) => [branch, commitOf(content)]),
    );
    for (const [branch, commit] of this.#repositories.get(`${kind}s/${name}`) ?? [])
      if (branch === commit.sha) commits.set(branch, commit);
    for (const commit of [...commits.values()]) commits.set(commit.sha, commit);
    this.#repositories.set(`${kind}s/${name}`, commits);
  }

  commit(key: string, revision = 'main'): string {
    return this.#repositories.get(key)!.get(revision)!.sha;
  }

  async stop(): Promise<void> {
    for (const one of [this.hub, this.store]) {
      one.closeAllConnections();
      await new Promise<void>((resolve) => one.close(() => resolve()));
    }
  }

  private answer(incoming: IncomingMessage, response: ServerResponse, isOfStore: boolean): void {
    const { method = 'GET', url = '/', headers } = incoming;
    const request = { method, url, authorization: headers.authorization, range: headers.range, isOfStore };
    this.requests.push(request);
    const fault = this.fault(request);
    if (fault?.status !== undefined) {
      response.writeHead(fault.status, { 'content-type': 'application/json', ...fault.headers });
      response.end(fault.body ?? JSON.stringify({ error: 'a fault' }));
      return;
    }
    const { pathname, searchParams } = new URL(url, this.endpoint);
    const path = decodeURIComponent(pathname);
    if (isOfStore) this.sendStored(path.slice(1), request, fault, response);
    else if (path.startsWith('/api/')) this.sendApi(path.slice('/api/'.length), searchParams, response);
    else this.sendFile(path.slice(1), request, fault, response);
  }

  private sendApi(path: string, search: URLSearchParams, response: ServerResponse): void {
    const [, kind, name, verb, rest = ''] =
      /^(models|datasets)(?:\/([^/]+\/[^/]+)\/(revision|tree)\/(.+))?$/.exec(path) ?? [];
    if (kind === undefined) return notFound(response, 'EntryNotFound');
    if (name === undefined) return sendJson(response, this.listed(kind, search));
    const commits = this.#repositories.get(`${kind}/${name}`);
    if (commits === undefined) return notFound(response, 'RepoNotFound');
    const commit = commits.get(rest);
    if (commit === undefined) return notFound(response, 'RevisionNotFound');
    if (verb === 'revision') return sendJson(response, { _id: '1', id: name, sha: commit.sha, gated: false });
    const entries = [...commit.files].map(([file, bytes]) => ({
      type: 'file',
      path: file,
      size: this.listedBytes(file, bytes.length),
      oid: gitHash(bytes),
      ...(isLarge(bytes) && {
        lfs: { oid: sha256(bytes), size: this.listedBytes(file, bytes.length), pointerSize: 130 },
      }),
    }));
    const from = Number(search.get('cursor') ?? 0);
    if (from + PAGE < entries.length) {
      const next = `${this.endpoint}/api/${path}?cursor=${from + PAGE}`;
      response.setHeader('link', `<${next}>; rel="next"`);
    }
    sendJson(response, [
      { type: 'directory', path: 'data', size: 0, oid: '' },
      ...entries.slice(from, from + PAGE),
    ]);
  }

  private listed(kind: string, search: URLSearchParams): object[] {
    const [author, query] = [search.get('author'), search.get('search')];
    return [...this.#repositories.keys()]
      .filter((key) => key.startsWith(`${kind}/`))
      .map((key) => key.slice(kind.length + 1))
      .filter((name) => author === null || name.startsWith(`${author}/`))
      .filter((name) => query === null || name.toLowerCase().includes(query.toLowerCase()))
      .map((name) => ({ _id: name, id: name }));
  }

  private sendFile(
    path: string,
    request: HubRequest,
    fault: HubFault | null,
    response: ServerResponse,
  ): void {
    const [, dataset, name = '', revision = '', file = ''] =
      /^(datasets\/)?([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(path) ?? [];
    const commits = this.#repositories.get(`${dataset === undefined ? 'models' : 'datasets'}/${name}`);
    if (commits === undefined) return notFound(response, 'RepoNotFound');
    const bytes = commits.get(revision)?.files.get(file);
    if (bytes === undefined) return notFound(response, 'EntryNotFound');
    if (isLarge(bytes)) {
      const location = `${addressOf(this.store)}/${sha256(bytes)}?signature=1`;
      response.writeHead(302, { location, 'x-linked-etag': `"${sha256(bytes)}"` }).end();
      return;
    }
    sendFile(response, bytes, request.range, fault ?? {});
  }

  private sendStored(
    hash: string,
    request: HubRequest,
    fault: HubFault | null,
    response: ServerResponse,
  ): void {
    for (const commits of this.#repositories.values())
      for (const { files } of commits.values())
        for (const bytes of files.values())
          if (sha256(bytes) === hash) return sendFile(response, bytes, request.range, fault ?? {});
    notFound(response, 'EntryNotFound');
  }
}

function commitOf(content: Readonly<Record<string, string | Uint8Array>>): Commit {
  const files = new Map(Object.entries(content).map(([path, bytes]) => [path, Buffer.from(bytes)]));
  const hash = createHash('sha1');
  for (const [path, bytes] of files) hash.update(path).update(bytes);
  return { sha: hash.digest('hex'), files };
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(value));
}

function notFound(response: ServerResponse, code: string): void {
  response.writeHead(404, { 'content-type': 'application/json', 'x-error-code': code });
  response.end(JSON.stringify({ error: code }));
}

function addressOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function isLarge(bytes: Buffer): boolean {
  return bytes.length >= LARGE_BYTES;
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function gitHash(bytes: Buffer): string {
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}
