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
});
