import type { PipelineNode } from '../../../src/api';

export interface TimeShare {
  kind: 'busy' | 'waits' | 'idle';
  name: string;
  share: number;
}

/** How a service spends its time, in the order it is drawn; nothing while it is not known. */
export function sharesOfNode({
  busy,
  idle,
  waits,
}: Pick<PipelineNode, 'busy' | 'idle' | 'waits'>): TimeShare[] {
  if (busy === null) return [];
  const waited = Object.entries(waits)
    .filter(([, share]) => share > 0)
    .map(([what, share]): TimeShare => ({ kind: 'waits', name: `waits for ${what}`, share }))
    .sort((a, b) => b.share - a.share);
  return [
    { kind: 'busy', name: 'busy', share: busy },
    ...waited,
    ...(idle === null ? [] : [{ kind: 'idle' as const, name: 'idle', share: idle }]),
  ];
}
