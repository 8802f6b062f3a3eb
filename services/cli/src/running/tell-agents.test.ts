import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runPaths } from '@forge/contracts';
import { waitFor } from '@forge/testing';
import { tellAgents } from './tell-agents';

const directory = mkdtempSync(join(tmpdir(), 'forge-told-'));
afterAll(() => rmSync(directory, { recursive: true }));

describe('tellAgents', () => {
  it('says all gateways once all are ready, and again when another one comes', async () => {
    const found: string[][] = [[], ['http://a:8000'], ['http://a:8000', 'http://a:8001']];
    let looks = 0;
    let wanted = 2;
    const said: string[] = [];
    const over = new AbortController();
    const telling = tellAgents(
      {
        registry: {
          gatewayAddresses: () =>
            looks++ === 0 ? Promise.reject(new Error('away')) : Promise.resolve(found.shift() ?? last),
        },
        controls: {
          wanted: () => Promise.resolve({ replicas: new Map([['gateway', wanted]]), restarts: new Map() }),
        },
        directory,
        say: (message) => said.push(message),
      },
      over.signal,
    );
    let last = ['http://a:8000', 'http://a:8001'];
    await waitFor('the first word', () => said.length > 0);
    expect(looks).toBeGreaterThan(3);
    const seen = looks;
    await waitFor('another look', () => looks > seen + 1);
    writeFileSync(runPaths(directory).gatewayToken, 'secret');
    [wanted, last] = [3, [...last, 'http://a:8002']];
    await waitFor('the second word', () => said.length > 1);
    over.abort();
    await telling;
    const urls = ['http://a:8000/v1', 'http://a:8001/v1', 'http://a:8002/v1'];
    expect(said).toEqual([
      `agents call ${urls[0]}, ${urls[1]}; the token that hands out sessions is FORGE_GATEWAY_TOKEN`,
      `agents call ${urls.join(', ')}; the token that hands out sessions is in ${runPaths(directory).gatewayToken}`,
    ]);
  });
});
