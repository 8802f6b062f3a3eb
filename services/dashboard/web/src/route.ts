/** The tabs of a run, in their order. */
export const TABS = [
  'overview',
  'curves',
  'pipeline',
  'rollouts',
  'ledger',
  'weights',
  'steer',
  'settings',
] as const;
export type Tab = (typeof TABS)[number];

/** A view of the page, as the part of its address behind `#`. */
export type Route =
  | { view: 'runs' }
  /** The newest run that goes on, else all of them. */
  | { view: 'newest' }
  | { view: 'run'; id: string; tab: Tab }
  | { view: 'rollout'; id: string; index: number }
  | { view: 'step'; id: string; step: number }
  | { view: 'compare'; a: string; b: string }
  | { view: 'unknown'; hash: string };

const COUNT = /^\d{1,15}$/;

export function routeOf(hash: string): Route {
  const unknown: Route = { view: 'unknown', hash };
  const parts = partsOf(hash.replace(/^#?\/?/, ''));
  if (parts === null) return unknown;
  const [root, first, kind, last, ...more] = parts;
  if (root === undefined) return { view: 'runs' };
  if (root === 'newest' && first === undefined) return { view: 'newest' };
  if (more.length > 0 || first === undefined) return unknown;
  if (root === 'compare')
    return kind === undefined || last !== undefined ? unknown : { view: 'compare', a: first, b: kind };
  if (root !== 'runs') return unknown;
  if (kind === undefined) return { view: 'run', id: first, tab: 'overview' };
  if (last === undefined) {
    const tab = TABS.find((one) => one === kind);
    return tab === undefined ? unknown : { view: 'run', id: first, tab };
  }
  if (!COUNT.test(last)) return unknown;
  if (kind === 'rollouts') return { view: 'rollout', id: first, index: Number(last) };
  if (kind === 'steps') return { view: 'step', id: first, step: Number(last) };
  return unknown;
}

function partsOf(path: string): string[] | null {
  try {
    return path.split('/').filter(Boolean).map(decodeURIComponent);
  } catch {
    return null;
  }
}

export const runHref = (id: string, tab: Tab = 'overview'): string =>
  `#/runs/${encodeURIComponent(id)}${tab === 'overview' ? '' : `/${tab}`}`;
export const rolloutHref = (id: string, index: number): string =>
  `#/runs/${encodeURIComponent(id)}/rollouts/${index}`;
export const stepHref = (id: string, step: number): string =>
  `#/runs/${encodeURIComponent(id)}/steps/${step}`;
export const compareHref = (a: string, b: string): string =>
  `#/compare/${encodeURIComponent(a)}/${encodeURIComponent(b)}`;
