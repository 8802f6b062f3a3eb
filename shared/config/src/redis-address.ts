import { ForgeError } from '@forge/errors';

/** The scheme that ioredis knows, by those that people write. */
const SCHEMES: ReadonlyMap<string, string> = new Map([
  ['redis', 'redis'],
  ['rediss', 'rediss'],
  ['valkey', 'redis'],
  ['valkeys', 'rediss'],
]);
const CLUSTER = /\+cluster$/i;
const SOCKET = /^(?:unix:(?:\/\/)?)?(\/(?!\/)[^?]*)(\?.*)?$/is;
const HOST_AND_PORT = /^(\[[\da-f:.%]+\]|[^\s:@[\]]*)(?::(\d{1,5}))?$/i;
const MAX_PORT = 65_535;

/**
 * An address of Redis in the form that every connection reads alike: `redis://` or `rediss://`, or the path of a socket.
 * A refusal shows nothing of it, since any part may be of the password.
 *
 * @throws {ForgeError} CONFIG_INVALID saying how it is written.
 */
export function redisAddress(text: string): string {
  const socket = SOCKET.exec(text.trim());
  if (socket !== null) {
    checkDatabase('', socket[2] ?? '');
    return `${socket[1]}${socket[2] ?? ''}`;
  }
  const [, named, rest = ''] =
    /^(?:([a-z][a-z\d+.-]*):)?(?:\/\/)?(.*)$/is.exec(withScheme(text.trim())) ?? [];
  const isCluster = CLUSTER.test(named ?? '');
  const scheme = SCHEMES.get((named ?? '').toLowerCase().replace(CLUSTER, ''));
  if (scheme === undefined)
    throw invalid(
      'it begins with redis://, rediss:// (TLS), valkey:// or valkeys://, of a cluster with redis+cluster:// or rediss+cluster://, or is the path of a socket',
    );
  const end = rest.search(/[/?#]|$/);
  const [authority, tail] = [rest.slice(0, end), rest.slice(end)];
  const login = authority.slice(0, authority.lastIndexOf('@') + 1);
  if (/[@#]/.test(tail) || !isDecodable(login)) throw unencoded();
  if (isCluster) return clusterAddress(scheme, login, authority.slice(login.length), tail);
  const [, host, port] = HOST_AND_PORT.exec(authority.slice(login.length)) ?? [];
  if (host === undefined || Number(port ?? 0) > MAX_PORT)
    throw invalid('expected redis://USER:PASSWORD@HOST:PORT/DATABASE, of which the host is enough');
  const [path = '', query] = tail.split(/(?=\?)/, 2);
  if (host === '' && !/^\/?\d*$/.test(path))
    throw invalid('a socket is given by its path alone, as in /run/redis.sock');
  checkDatabase(path.slice(1), query ?? '');
  return `${scheme}://${login}${host || 'localhost'}${port === undefined ? '' : `:${port}`}${tail}`;
}

/** An address with some of the servers of a cluster, by which the others are found. */
function clusterAddress(scheme: string, login: string, hosts: string, tail: string): string {
  const servers = hosts.split(',').map((server) => HOST_AND_PORT.exec(server.trim()));
  const isRight = servers.every((found) => found?.[1] && Number(found[2] ?? 0) <= MAX_PORT);
  if (!isRight || !/^\/?0?$/.test(tail))
    throw invalid(
      'expected redis+cluster://USER:PASSWORD@HOST:PORT,HOST:PORT; a cluster has no database but 0',
    );
  return `${scheme}+cluster://${login}${servers.map((found) => found![0]).join(',')}`;
}

/** `address` with a password, where it has none of its own. */
export function withPassword(address: string, password: string): string {
  if (address.startsWith('/')) {
    const [path, query] = address.split('?', 2);
    const options = new URLSearchParams(query);
    if (!options.has('password')) options.set('password', password);
    return `${path}?${options.toString()}`;
  }
  const [, scheme, login, hosts] = /^([a-z]+\+cluster:\/\/)(?:(.*)@)?(.*)$/.exec(address) ?? [];
  if (scheme !== undefined) {
    if (login?.includes(':')) return address;
    return `${scheme}${login ?? ''}:${encodeURIComponent(password)}@${hosts}`;
  }
  const complete = new URL(address);
  if (complete.password !== '') return address;
  complete.password = encodeURIComponent(password);
  return complete.href;
}

/** `HOST:PORT`, `//HOST:PORT` and `PORT` mean a Redis without TLS. */
function withScheme(text: string): string {
  if (/^[a-z][a-z\d+.-]*:\/\//i.test(text)) return text;
  return `redis://${/^\d+$/.test(text) ? `localhost:${text}` : text.replace(/^\/\//, '')}`;
}

function checkDatabase(path: string, query: string): void {
  const database = path || new URLSearchParams(query).get('db') || '0';
  if (!/^\d+$/.test(database)) throw invalid('a database is a number, as in redis://HOST:PORT/2');
}

function isDecodable(login: string): boolean {
  try {
    decodeURIComponent(login);
    return true;
  } catch {
    return false;
  }
}

function unencoded(): ForgeError {
  return invalid(
    'special characters of a user or password are percent-encoded (/ is %2F, ? %3F, # %23, @ %40, % %25); or put the password into a file and name that by REDIS_PASSWORD_FILE',
  );
}

function invalid(expected: string): ForgeError {
  const message = `environment variable REDIS_URL: ${expected}`;
  return new ForgeError('CONFIG_INVALID', message, { variable: 'REDIS_URL' });
}
