import { TENSORFLOW_VERSION, type TensorflowKind } from '@forge/engine';
import { ForgeError } from '@forge/errors';

/** A file of the Python package index whose bytes are known. */
export interface PinnedFile {
  project: string;
  filename: string;
  sizeBytes: number;
  sha256: string;
}

/** A package of npm whose bytes are known. */
export interface PinnedPackage {
  name: string;
  version: string;
  /** Base64 of its sha512. */
  sha512: string;
}

/** The sources of the binding, and the headers of the Node-API they are written for. */
export interface BindingPackages {
  sources: PinnedPackage;
  nodeHeaders: PinnedPackage;
}

/** Everything that one kind of TensorFlow is made of. */
export interface TensorflowRelease {
  /** The first one is TensorFlow's own; the others are NVIDIA's. */
  wheels: readonly PinnedFile[];
  packages: BindingPackages;
  /** Disk that an installation takes while it goes on, at most. */
  neededBytes: number;
}

/** The same for the CPU and for GPUs. */
export const BINDING_PACKAGES: BindingPackages = {
  sources: {
    name: '@tensorflow/tfjs-node-gpu',
    version: '4.22.0',
    sha512: 'p//NN6DGiN4hInUmIkRffaFVMcdTREUMjPyjW04J7OXvB2zBlQimj61eFKSgRrH3f5TnOfKzb0n56he/B6a4bw==',
  },
  nodeHeaders: {
    name: 'node-api-headers',
    version: '1.9.0',
    sha512: '2oNILP4jXwRB4ywnYKjVk1YyJ96n2D4EOVJO6S3oYZ5PtbJrw3Yt9TpAuX3nBLMuzn74rnfGQrv13pS9vC+YiA==',
  },
};

const GB = 1e9;
const MANYLINUX = 'manylinux_2_17';
/** Python is not used: its version in a name only picks one of several wheels with the same libraries. */
const wheel = (project: string, arch: string, sizeBytes: number, sha256: string): PinnedFile => ({
  project,
  filename: `${project.replaceAll('-', '_')}-${TENSORFLOW_VERSION}-cp311-cp311-${MANYLINUX}_${arch}.manylinux2014_${arch}.whl`,
  sizeBytes,
  sha256,
});
const cuda = (
  project: string,
  version: string,
  tag: string,
  sizeBytes: number,
  sha256: string,
): PinnedFile => ({
  project,
  filename: `${project.replaceAll('-', '_')}-${version}-py3-none-${tag}_x86_64.whl`,
  sizeBytes,
  sha256,
});

const MANYLINUX_2010 = 'manylinux2010_x86_64.manylinux_2_12';
const MANYLINUX_2014 = 'manylinux2014_x86_64.manylinux_2_17';

/** Extra `and-cuda` of TensorFlow's wheel, by the newest of what it allows. */
const CUDA: readonly PinnedFile[] = [
  cuda(
    'nvidia-cublas-cu12',
    '12.9.3.13',
    'manylinux_2_27',
    581_217_458,
    'd7d51055f161b317c7105ddaae90e71eda059026074ffef93cf7cde2886bfe72',
  ),
  cuda(
    'nvidia-cuda-cupti-cu12',
    '12.9.79',
    'manylinux_2_25',
    10_814_997,
    '096bcf334f13e1984ba36685ad4c1d6347db214de03dbb6eebb237b41d9d934f',
  ),
  cuda(
    'nvidia-cuda-nvcc-cu12',
    '12.9.86',
    MANYLINUX_2010,
    40_546_229,
    '5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0',
  ),
  cuda(
    'nvidia-cuda-nvrtc-cu12',
    '12.9.86',
    MANYLINUX_2010,
    89_568_129,
    '210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4',
  ),
  cuda(
    'nvidia-cuda-runtime-cu12',
    '12.9.79',
    MANYLINUX_2014,
    3_493_179,
    '25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3',
  ),
  cuda(
    'nvidia-cudnn-cu12',
    '9.28.0.42',
    'manylinux_2_27',
    716_538_495,
    '9ff58b7f36dacd0a93e89f8f2957b52466889217963701daa15e577317cfa375',
  ),
  cuda(
    'nvidia-cufft-cu12',
    '11.4.1.4',
    MANYLINUX_2014,
    200_877_592,
    'c67884f2a7d276b4b80eb56a79322a95df592ae5e765cf1243693365ccab4e28',
  ),
  cuda(
    'nvidia-curand-cu12',
    '10.3.10.19',
    'manylinux_2_27',
    68_295_626,
    '49b274db4780d421bd2ccd362e1415c13887c53c214f0d4b761752b8f9f6aa1e',
  ),
  cuda(
    'nvidia-cusolver-cu12',
    '11.7.5.82',
    'manylinux_2_27',
    338_117_415,
    '15da72d1340d29b5b3cf3fd100e3cd53421dde36002eda6ed93811af63c40d88',
  ),
  cuda(
    'nvidia-cusparse-cu12',
    '12.5.10.65',
    MANYLINUX_2014,
    366_465_088,
    '73060ce019ac064a057267c585bf1fd5a353734151f87472ff02b2c5c9984e78',
  ),
  cuda(
    'nvidia-nccl-cu12',
    '2.32.3',
    'manylinux_2_27',
    351_526_311,
    'bb94b2348e4861d5e8aa00b36c3d12d9bdf9c6369b82cbb723de0b582280a21c',
  ),
  cuda(
    'nvidia-nvjitlink-cu12',
    '12.9.86',
    MANYLINUX_2010,
    39_748_338,
    'e3f1171dbdc83c5932a45f0f4c99180a70de9bd2718c1ab77d14104f6d7147f9',
  ),
];

const RELEASES: Readonly<Record<string, Omit<TensorflowRelease, 'packages'>>> = {
  'linux x64 cpu': {
    wheels: [
      wheel(
        'tensorflow-cpu',
        'x86_64',
        258_876_263,
        'cf756bbe2d256e942ab5d0ad2c858fb40017581494febdb4387c149b1afde780',
      ),
    ],
    neededBytes: 1.7 * GB,
  },
  'linux arm64 cpu': {
    wheels: [
      wheel(
        'tensorflow',
        'aarch64',
        259_465_882,
        '3e9568c8efcb05c0266be223e3269c62ebf7ad3498f156438311735f6fa5ced5',
      ),
    ],
    neededBytes: 1.7 * GB,
  },
  'linux x64 gpu': {
    wheels: [
      wheel(
        'tensorflow',
        'x86_64',
        620_570_129,
        '481499fd0f824583de8945be61d5e827898cdaa4f5ea1bc2cc28ca2ccff8229e',
      ),
      ...CUDA,
    ],
    neededBytes: 10 * GB,
  },
};

/** The machine an engine is installed on. */
export interface Machine {
  platform: string;
  arch: string;
  /** Whether its C library is the GNU one, which the wheels are built for. */
  hasGlibc: boolean;
}

/** The machine this process runs on. */
export function thisMachine(): Machine {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  const { platform, arch } = process;
  return { platform, arch, hasGlibc: header.glibcVersionRuntime !== undefined };
}

/**
 * The files of TensorFlow for a machine.
 *
 * @throws {ForgeError} ENGINE_UNSUPPORTED when there are none.
 */
export function tensorflowRelease(kind: TensorflowKind, machine: Machine): TensorflowRelease {
  const { platform, arch, hasGlibc } = machine;
  const release = RELEASES[`${platform} ${arch} ${kind}`];
  if (release !== undefined && hasGlibc) return { ...release, packages: BINDING_PACKAGES };
  const found = `${platform} on ${arch}${platform === 'linux' && !hasGlibc ? ' without glibc' : ''}`;
  const served = 'Linux with glibc on x64 and arm64, and with --gpu on x64';
  const message = `engine tensorflow${kind === 'gpu' ? ' --gpu' : ''}: found ${found}; it is installed on ${served}; elsewhere take one of Forge's images, or the engine onnx`;
  throw new ForgeError('ENGINE_UNSUPPORTED', message, { engine: 'tensorflow', kind, platform, arch });
}
