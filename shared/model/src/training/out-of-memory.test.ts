import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { missingTensorflow } from '@forge/testing';

const missing = missingTensorflow();
if (missing !== null) process.stderr.write(`skipped: ${missing}\n`);
const FIXTURE = join(__dirname, '../../dist/training/train-in-process.fixture.js');

/** Outcome of two steps where TensorFlow has so many bytes; without a number, as many as there are. */
function trained(microBatchTokens: number, bytes?: number): unknown {
  const { stdout, stderr } = spawnSync(process.execPath, [FIXTURE, String(microBatchTokens)], {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
    env: {
      ...process.env,
      TF_CPP_MIN_LOG_LEVEL: '3',
      ...(bytes !== undefined && { TF_MKL_ALLOC_MAX_BYTES: String(bytes) }),
    },
  });
  return JSON.parse(stdout || JSON.stringify(stderr));
}

(missing === null ? describe : describe.skip)('a train step on a TensorFlow of little memory', () => {
  it('goes on in micro-batches of half the size, with the bits of that size', () => {
    const half = trained(4064) as { hash: string };
    expect(half).toMatchObject({ smaller: [null, null] });
    expect(trained(8192, 180_000_000)).toEqual({ smaller: [4064, null], hash: half.hash });
  });

  it('says what would fit where that does not either', () => {
    expect(trained(8192, 100_000_000)).toEqual({
      failed: expect.stringMatching(
        /^a micro-batch of 32 x 127 tokens .* trainer.microBatchTokens to 2032.*OOM when allocating tensor/s,
      ),
    });
  });
});
