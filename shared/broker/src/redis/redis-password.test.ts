import { withoutPassword } from './redis-password';

describe('withoutPassword', () => {
  it.each([
    ['redis://127.0.0.1:6379/1', 'redis://127.0.0.1:6379/1'],
    ['rediss://user:secret@host:1/2', 'rediss://host:1/2'],
    ['redis://:se/cr@et@host:1', 'redis://host:1'],
    ['user:secret@host:1', 'host:1'],
    ['rediss+cluster://user:secret@a:1,b:2', 'rediss+cluster://a:1,b:2'],
    ['/run/of@me/redis.sock?password=secret', '/run/of@me/redis.sock'],
    ['unix:///run/redis.sock?db=2', 'unix:///run/redis.sock'],
    ['redis://host?username=user&password=secret', 'redis://host'],
    ['redis://user:secret@host?name=a@b', 'redis://b'],
  ])('shows %s as %s', (url, shown) => {
    expect(withoutPassword(url)).toBe(shown);
  });
});
