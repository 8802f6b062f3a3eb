import { tensorflowRelease } from './tensorflow-release';

const linux = { platform: 'linux', arch: 'x64', hasGlibc: true };

describe('tensorflowRelease', () => {
  it('has one wheel for the CPU, and those of NVIDIA beside it for GPUs', () => {
    const cpu = tensorflowRelease('cpu', linux);
    expect(cpu.wheels.map(({ filename }) => filename)).toEqual([
      'tensorflow_cpu-2.20.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl',
    ]);
    const gpu = tensorflowRelease('gpu', linux);
    expect(gpu.wheels.map(({ project }) => project.split('-')[0])).toEqual([
      'tensorflow',
      ...Array.from({ length: 12 }, () => 'nvidia'),
    ]);
    for (const { sha256 } of gpu.wheels) expect(sha256).toMatch(/^[0-9a-f]{64}$/);
  });

  it.each([
    ['cpu', { ...linux, platform: 'darwin', arch: 'arm64' }, /found darwin on arm64/],
    ['cpu', { ...linux, hasGlibc: false }, /found linux on x64 without glibc/],
    ['gpu', { ...linux, arch: 'arm64' }, /--gpu: found linux on arm64; .*with --gpu on x64/],
  ] as const)('refuses %s on %j by name', (kind, machine, message) => {
    expect(() => tensorflowRelease(kind, machine)).toThrow(
      expect.objectContaining({
        code: 'ENGINE_UNSUPPORTED',
        message: expect.stringMatching(message) as string,
      }) as Error,
    );
  });
});
