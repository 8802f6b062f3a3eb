import { redisAddress, withPassword } from './redis-address';

const SECRET = 'Wolpertinger';

describe('redisAddress', () => {
  it.each([
    ['redis://127.0.0.1:6390', 'redis://127.0.0.1:6390'],
    ['redis://cache', 'redis://cache'],
    ['rediss://user:p%40ss%2Fword@cache:1/2?family=6', 'rediss://user:p%40ss%2Fword@cache:1/2?family=6'],
    ['REDISS://cache:1', 'rediss://cache:1'],
    ['redis://[::1]:6390/0', 'redis://[::1]:6390/0'],
    ['redis://:a@b@cache:1', 'redis://:a@b@cache:1'],
    ['valkey://127.0.0.1:6390', 'redis://127.0.0.1:6390'],
    ['valkeys://:pw@cache', 'rediss://:pw@cache'],
    ['127.0.0.1:6390', 'redis://127.0.0.1:6390'],
    ['user:pw@cache:1', 'redis://user:pw@cache:1'],
    ['redis:6379', 'redis://redis:6379'],
    ['//cache:1', 'redis://cache:1'],
    ['6390', 'redis://localhost:6390'],
    ['redis://', 'redis://localhost'],
    ['redis:///3', 'redis://localhost/3'],
    ['/run/redis.sock', '/run/redis.sock'],
    ['/run/redis.sock?db=2', '/run/redis.sock?db=2'],
    ['unix:///run/redis.sock', '/run/redis.sock'],
    ['redis://cache:1\n', 'redis://cache:1'],
    ['redis+cluster://a:1,b:2', 'redis+cluster://a:1,b:2'],
    ['valkeys+cluster://me:p%40@a,[::1]:7000/0', 'rediss+cluster://me:p%40@a,[::1]:7000'],
  ])('reads %j as %s', (text, address) => {
    expect(redisAddress(text)).toBe(address);
  });

  it.each([
    // Characters of a password that end the address before it does.
    [`redis://:${SECRET}/x@127.0.0.1:6390`, /percent-encoded/],
    [`redis://:${SECRET}?x@127.0.0.1:6390`, /percent-encoded/],
    [`redis://:${SECRET}#x@127.0.0.1:6390`, /percent-encoded/],
    [`redis://me:x@${SECRET}/y#z@127.0.0.1:6390/1`, /percent-encoded/],
    [`rediss://me:1/${SECRET}@127.0.0.1`, /percent-encoded/],
    [`redis://:${SECRET}%zz@127.0.0.1:6390`, /percent-encoded/],
    [`redis://:${SECRET}%ff@127.0.0.1:6390`, /percent-encoded/],
    [`me:${SECRET}/x@127.0.0.1:6390`, /percent-encoded/],
    [`redis://cache?password=${SECRET}@x`, /percent-encoded/],
    [`redis://:${SECRET}`, /redis:\/\/USER:PASSWORD@HOST:PORT/],
    [`redis://me:x@${SECRET} y`, /USER:PASSWORD@HOST/],
    ['redis://127.0.0.1:70000', /USER:PASSWORD@HOST/],
    [`redis://127.0.0.1:6390/${SECRET}`, /a database is a number/],
    ['redis://127.0.0.1:6390/1/2', /a database is a number/],
    ['redis://127.0.0.1:6390?db=prod', /a database is a number/],
    ['127.0.0.1:6390/prod', /a database is a number/],
    ['/run/redis.sock?db=prod', /a database is a number/],
    ['redis:///run/redis.sock', /a socket is given by its path alone, as in \/run\/redis\.sock/],
    [`redis+cluster://me:${SECRET}@a:1,b:2/3`, /a cluster has no database but 0/],
    ['redis+cluster://a:1,:2', /redis\+cluster:\/\/USER:PASSWORD@HOST:PORT,HOST:PORT/],
    [`http://${SECRET}:6390`, /redis:\/\/, rediss:\/\/ \(TLS\), valkey:\/\/ or valkeys:\/\//],
    ['tcp://127.0.0.1:6390', /rediss:\/\//],
  ])('refuses %s and shows nothing of it', (text, expected) => {
    expect(() => redisAddress(text)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringMatching(expected) as string }),
    );
    expect(() => redisAddress(text)).not.toThrow(SECRET);
  });
});

describe('withPassword', () => {
  it.each([
    ['redis://cache:1', 'redis://:p%40s%2Fs@cache:1'],
    ['redis://me@cache', 'redis://me:p%40s%2Fs@cache'],
    ['redis://:own@cache', 'redis://:own@cache'],
    ['redis+cluster://a:1,b:2', 'redis+cluster://:p%40s%2Fs@a:1,b:2'],
    ['rediss+cluster://me@a,b', 'rediss+cluster://me:p%40s%2Fs@a,b'],
    ['redis+cluster://:own@a,b', 'redis+cluster://:own@a,b'],
    ['/run/redis.sock', '/run/redis.sock?password=p%40s%2Fs'],
    ['/run/redis.sock?db=2', '/run/redis.sock?db=2&password=p%40s%2Fs'],
  ])('puts it into %s', (address, complete) => {
    expect(withPassword(address, 'p@s/s')).toBe(complete);
  });
});
