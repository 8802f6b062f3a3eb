import type { Pipeline, PipelineEdge, PipelineNode } from '../../../src/api';

export interface Place {
  x: number;
  y: number;
}

export interface PlacedEdge {
  edge: PipelineEdge;
  /** Data of an SVG path, in the direction of what it carries. */
  path: string;
  /** Where what it carries is named. */
  label: Place & { anchor: 'middle' | 'start' | 'end' };
  /** Whether the line runs between name and numbers, or beside both. */
  isAcross: boolean;
}

export interface PipelineLayout {
  width: number;
  height: number;
  nodes: readonly (Place & { node: PipelineNode })[];
  edges: readonly PlacedEdge[];
}

/** `wide`: work goes from left to right, weights back above; `tall`: work goes downwards, weights back on the left. */
export type PipelineShape = 'wide' | 'tall';

export const NODE = { width: 172, height: 84 };

const MAIN = ['coordinator', 'policy', 'replay-buffer', 'trainer'];
/** Services beside the main line: the one that calls the policy, and those it calls. */
const BESIDE = ['gateway', 'reward', 'reference'];

const WIDE = { top: 64, apart: 290, besideTop: 222, besideApart: 200 };
const TALL = { left: 28, apart: 148, beside: 156, besideApart: 132, calls: 336 };

/** Where services are drawn, and what passes between them. */
export function pipelineLayout({ nodes, edges }: Pipeline, shape: PipelineShape): PipelineLayout {
  const beside = BESIDE.filter((name) => nodes.some(({ service }) => service === name));
  const places = shape === 'wide' ? widePlaces(beside) : tallPlaces(beside);
  const placed = nodes.flatMap((node) => {
    const place = places.get(node.service);
    return place === undefined ? [] : [{ node, ...place }];
  });
  const lines = edges.flatMap((edge): PlacedEdge[] => {
    const [from, to] = [places.get(edge.from), places.get(edge.to)];
    if (from === undefined || to === undefined) return [];
    return [{ edge, ...(shape === 'wide' ? wideLine(edge, from, to) : tallLine(edge, from, to)) }];
  });
  const lowest = Math.max(...placed.map(({ y }) => y + NODE.height));
  return shape === 'wide'
    ? { width: 3 * WIDE.apart + NODE.width, height: lowest + 2, nodes: placed, edges: lines }
    : { width: 344, height: lowest + 44, nodes: placed, edges: lines };
}

function widePlaces(beside: readonly string[]): Map<string, Place> {
  const places = new Map(MAIN.map((name, k) => [name, { x: k * WIDE.apart, y: WIDE.top }]));
  const left = WIDE.apart - ((beside.length - 1) * WIDE.besideApart) / 2;
  for (const [k, name] of beside.entries())
    places.set(name, { x: left + k * WIDE.besideApart, y: WIDE.besideTop });
  return places;
}

function tallPlaces(beside: readonly string[]): Map<string, Place> {
  const places = new Map<string, Place>();
  let y = 0;
  for (const name of MAIN) {
    places.set(name, { x: TALL.left, y });
    y += TALL.apart;
    if (name !== 'policy') continue;
    for (const one of beside) {
      places.set(one, { x: TALL.beside, y });
      y += TALL.besideApart;
    }
    if (beside.length > 0) y += TALL.apart - TALL.besideApart;
  }
  return places;
}

type Line = Omit<PlacedEdge, 'edge'>;

function wideLine({ carries, from: caller, to: callee }: PipelineEdge, from: Place, to: Place): Line {
  const middle = { x: from.x + NODE.width / 2, y: from.y + NODE.height / 2 };
  const target = { x: to.x + NODE.width / 2, y: to.y + NODE.height / 2 };
  if (carries === 'weights') {
    const top = 22;
    return {
      path: `M${middle.x} ${from.y} V${top + 10} q0 -10 -10 -10 H${target.x + 10} q-10 0 -10 10 V${to.y - 3}`,
      label: { x: (middle.x + target.x) / 2, y: top - 7, anchor: 'middle' },
      isAcross: true,
    };
  }
  if (BESIDE.includes(callee) || BESIDE.includes(caller)) {
    const isDown = to.y > from.y;
    const startY = isDown ? from.y + NODE.height : from.y;
    const endY = isDown ? to.y - 3 : to.y + NODE.height + 3;
    const bend = (startY + endY) / 2;
    const side = Math.sign(target.x - middle.x) * (isDown ? 1 : -1);
    const half = (middle.x + target.x) / 2;
    return {
      path: `M${middle.x} ${startY} C${middle.x} ${bend} ${target.x} ${bend} ${target.x} ${endY}`,
      label:
        side === 0
          ? { x: half + 10, y: bend - 2, anchor: 'start' }
          : { x: half + 14 * side, y: bend - 20, anchor: side < 0 ? 'end' : 'start' },
      isAcross: false,
    };
  }
  const [start, end] = [from.x + NODE.width, to.x - 3];
  return {
    path: `M${start} ${middle.y} H${end}`,
    label: { x: (start + end) / 2, y: middle.y - 9, anchor: 'middle' },
    isAcross: true,
  };
}

function tallLine({ carries, from: caller, to: callee }: PipelineEdge, from: Place, to: Place): Line {
  const x = from.x + 34;
  const bottom = from.y + NODE.height;
  if (carries === 'weights') {
    const [low, left] = [bottom + 18, 8];
    const target = to.y + NODE.height / 2;
    return {
      path: `M${x} ${bottom} V${low - 8} q0 8 -8 8 H${left + 8} q-8 0 -8 -8 V${target + 8} q0 -8 8 -8 H${to.x - 3}`,
      label: { x: x + 10, y: bottom + 18, anchor: 'start' },
      isAcross: false,
    };
  }
  if (BESIDE.includes(caller)) {
    const up = from.x + 22;
    return {
      path: `M${up} ${from.y} V${to.y + NODE.height + 3}`,
      label: { x: up + 10, y: from.y - 26, anchor: 'start' },
      isAcross: false,
    };
  }
  if (BESIDE.includes(callee)) {
    const [start, end] = [from.y + NODE.height / 2, to.y + NODE.height / 2];
    return {
      path: `M${from.x + NODE.width} ${start} H${TALL.calls - 10} q10 0 10 10 V${end - 8} q0 8 -8 8`,
      label: { x: TALL.calls - 8, y: to.y - 26, anchor: 'end' },
      isAcross: false,
    };
  }
  return {
    path: `M${x} ${bottom} V${to.y - 3}`,
    label: { x: x + 10, y: to.y - 38, anchor: 'start' },
    isAcross: false,
  };
}
