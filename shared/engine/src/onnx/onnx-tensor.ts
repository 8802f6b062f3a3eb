import type { DType } from '@forge/graph';
import type { InferenceSession, OnnxValue, Tensor as OrtTensor } from 'onnxruntime-node';
import type { DeviceTensor, HostTensor } from '../engine';

/** A tensor that stays in the memory of onnxruntime's device. */
export class OnnxTensor implements DeviceTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  private isDisposed = false;

  constructor(
    readonly ort: OrtTensor,
    private readonly copy: (tensor: OrtTensor) => Promise<HostTensor>,
  ) {
    this.dtype = ort.type as DType;
    this.shape = ort.dims;
  }

  read(): Promise<HostTensor> {
    return this.copy(this.ort);
  }

  dispose(): void {
    if (!this.isDisposed) this.ort.dispose();
    this.isDisposed = true;
  }
}

/** The values of a tensor in host memory, which it shares. */
export function hostTensor(value: OnnxValue): HostTensor {
  const tensor = value as OrtTensor;
  return { dtype: tensor.type as DType, shape: tensor.dims, data: tensor.data as HostTensor['data'] };
}

/** Where a copy goes: a session of one node that takes a tensor from anywhere. */
type Copier = (dtype: DType, rank: number, isKept: boolean) => Promise<InferenceSession>;

/**
 * Copies between the host and a device. The binding itself can't read a tensor on the device (it ends the process), so a
 * session with its output on the other side does.
 */
export class Transfers {
  private readonly sessions = new Map<string, Promise<InferenceSession>>();

  constructor(private readonly copier: Copier) {}

  async toHost(tensor: OrtTensor): Promise<HostTensor> {
    return hostTensor(await this.copied(tensor, false));
  }

  toDevice(tensor: OrtTensor): Promise<OrtTensor> {
    return this.copied(tensor, true);
  }

  private async copied(x: OrtTensor, isKept: boolean): Promise<OrtTensor> {
    const key = `${x.type} ${x.dims.length} ${isKept}`;
    const session = this.sessions.get(key) ?? this.copier(x.type as DType, x.dims.length, isKept);
    this.sessions.set(key, session);
    const { copy } = await (await session).run({ x });
    return copy as OrtTensor;
  }
}
