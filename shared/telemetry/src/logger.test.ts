import { ForgeError } from '@forge/errors';
import { createLogger } from './logger';

describe('createLogger', () => {
  it('writes one JSON object a line with who, when and what', () => {
    const lines: string[] = [];
    const destination = { write: (line: string) => void lines.push(line) };
    const logger = createLogger({ service: 'policy', runId: 'r1', replica: '0', level: 'info', destination });
    logger.debug('not shown');
    logger.error({ err: new ForgeError('CANCELLED', 'stopped') }, 'failed');
    expect(lines).toHaveLength(1);
    const entry = JSON.parse(lines[0]!) as Record<string, unknown>;
    expect(entry).toMatchObject({
      level: 'error',
      service: 'policy',
      runId: 'r1',
      replica: '0',
      msg: 'failed',
      err: { code: 'CANCELLED', message: 'stopped' },
    });
    expect(new Date(entry.time as string).toISOString()).toBe(entry.time);
  });

  it('keeps secrets to itself', () => {
    const lines: string[] = [];
    const destination = { write: (line: string) => void lines.push(line) };
    const logger = createLogger({ service: 'policy', level: 'trace', destination });
    const command = { name: 'hello', args: ['3', 'AUTH', 'user', 's3cret'] };
    logger.error({ err: Object.assign(new Error('WRONGPASS'), { command }) }, 'refused');
    logger.child({ token: 's3cret' }).warn({ redis: { host: 'h', password: 's3cret' } }, 'connecting');
    logger.info({ url: 'rediss://user:s3cret@host:1/0' }, 'at redis://:s3cret@host and http://host/a@b');
    const text = lines.join('');
    expect(text).not.toContain('s3cret');
    expect(text).toContain('rediss://host:1/0');
    expect(text).toContain('at redis://host and http://host/a@b');
    expect(JSON.parse(lines[0]!)).toMatchObject({ err: { message: 'WRONGPASS', command: '[secret]' } });
  });
});
