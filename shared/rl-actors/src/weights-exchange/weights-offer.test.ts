import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serveActor, streamFrom, type DeployedActor } from '@forge/actors';
import { waitFor } from '@forge/testing';
import { WeightsOffer } from './weights-offer';

const dir = mkdtempSync(join(tmpdir(), 'forge-offer-'));
afterAll(() => {
  rmSync(dir, { recursive: true });
});

interface Told extends DeployedActor {
  blobs: string[] | null;
  readers: number;
}

describe('WeightsOffer', () => {
  it('tells what is given, where, and to how many, again and again until it is closed', async () => {
    const content = Buffer.alloc(100, 3);
    const sha256 = createHash('sha256').update(content).digest('hex');
    writeFileSync(join(dir, `${sha256}.safetensors`), content);
    const told: Told[] = [];
    let isWithdrawn = false;
    const offer = await WeightsOffer.open({
      dir,
      serve: (actor) => serveActor(actor, 'inproc'),
      tell: (offered) => Promise.resolve(void told.push(offered)),
      withdraw: () => Promise.resolve(void (isWithdrawn = true)),
      onFailed: (error) => {
        throw error;
      },
      repeatMs: 20,
    });
    await offer.hold([sha256]);
    const [{ address, actor }] = told as [Told];
    expect(told).toEqual([{ address, actor, blobs: [sha256], readers: 0 }]);
    await waitFor('the same again', () => told.length >= 3);
    told.length = 0;
    for await (const piece of streamFrom({ address, actor }, 'read', [sha256, 0]))
      expect(content.equals(piece as Buffer)).toBe(true);
    expect(told.map(({ readers }) => readers)).toEqual(expect.arrayContaining([1, 0]));
    await offer.close();
    expect(isWithdrawn).toBe(true);
    const { length } = told;
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(told).toHaveLength(length);
  });
});
