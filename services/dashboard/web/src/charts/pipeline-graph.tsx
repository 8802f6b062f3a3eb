import type { Pipeline, PipelineEdge, PipelineNode } from '../../../src/api';
import { formatBytes, formatCount, formatDuration, formatRate, formatShare } from '../format/numbers';
import { useIsNarrow } from '../parts/use-is-narrow';
import { NODE, pipelineLayout, type Place, type PlacedEdge } from './pipeline-layout';
import { sharesOfNode } from './time-shares';

/** The run as a graph: how services spend their time, and what waits and passes between them. */
export function PipelineGraph({ pipeline }: { pipeline: Pipeline }) {
  const shape = useIsNarrow() ? 'tall' : 'wide';
  const { width, height, nodes, edges } = pipelineLayout(pipeline, shape);
  return (
    <svg
      class={`pipeline ${shape}`}
      viewBox={`-1 -1 ${width + 2} ${height + 2}`}
      role="img"
      aria-label={inWords(pipeline)}
    >
      <defs>
        <marker
          id="arrow"
          viewBox="0 0 8 8"
          refX="6"
          refY="4"
          markerWidth="7"
          markerHeight="7"
          orient="auto-start-reverse"
        >
          <path d="M0 0 8 4 0 8z" class="pipeline-arrow" />
        </marker>
      </defs>
      {edges.map((placed) => (
        <Edge key={`${placed.edge.from} ${placed.edge.to} ${placed.edge.carries}`} {...placed} />
      ))}
      {nodes.map(({ node, x, y }) => (
        <Node key={node.service} node={node} x={x} y={y} />
      ))}
    </svg>
  );
}

function Node({ node, x, y }: Place & { node: PipelineNode }) {
  const { service, replicas, busy, memoryBytes } = node;
  const inner = NODE.width - 24;
  const shares = sharesOfNode(node);
  const most = shares.filter(({ kind }) => kind !== 'busy').sort((a, b) => b.share - a.share)[0];
  let left = 12;
  return (
    <g transform={`translate(${x} ${y})`} class={`pipeline-node ${replicas === 0 ? 'is-down' : ''}`}>
      <rect class="pipeline-box" width={NODE.width} height={NODE.height} rx="8" />
      <text x="12" y="21" class="pipeline-name">
        {service}
      </text>
      <text x={NODE.width - 12} y="21" text-anchor="end" class="pipeline-small">
        {replicas === null ? '' : replicas === 0 ? 'down' : `× ${replicas}`}
      </text>
      <rect x="12" y="31" width={inner} height="9" class="share-none" />
      {shares.map(({ kind, name, share }) => {
        const from = left;
        left += share * inner;
        return (
          <rect
            key={name}
            x={from}
            y="31"
            width={Math.max(0, share * inner)}
            height="9"
            class={`share-${kind}`}
          >
            <title>{`${name}: ${formatShare(share)}`}</title>
          </rect>
        );
      })}
      <text x="12" y="57" class="pipeline-small strong">
        {busy === null ? 'not measured yet' : `busy ${formatShare(busy)}`}
      </text>
      <text x={NODE.width - 12} y="57" text-anchor="end" class="pipeline-small">
        {memoryBytes === null ? '' : formatBytes(memoryBytes)}
      </text>
      <text x="12" y="73" class="pipeline-small">
        {most === undefined || most.share < 0.005 ? '' : `${most.name} ${formatShare(most.share)}`}
      </text>
    </g>
  );
}

function Edge({ edge, path, label, isAcross }: PlacedEdge) {
  const all = numbersOf(edge);
  // Beside a line that goes down there is room for them in one row.
  const numbers = isAcross || edge.carries === 'calls' ? all : [all.join(' · ')];
  const below = isAcross ? 22 : 14;
  return (
    <g class={`pipeline-edge carries-${edge.carries}`}>
      <path d={path} marker-end="url(#arrow)" />
      <text x={label.x} y={label.y} text-anchor={label.anchor} class="pipeline-small strong">
        {edge.carries}
      </text>
      {numbers.map((text, k) => (
        <text
          key={k}
          x={label.x}
          y={label.y + below + 14 * k}
          text-anchor={label.anchor}
          class="pipeline-small"
        >
          {text}
        </text>
      ))}
    </g>
  );
}

function numbersOf({ depth, ageSeconds, ratePerSecond }: PipelineEdge): string[] {
  const waiting = depth === null ? '' : `${formatCount(depth)} waiting`;
  const age = ageSeconds === null || depth === 0 ? '' : `for ${formatDuration(1000 * ageSeconds)}`;
  const rate = ratePerSecond === null ? '' : formatRate(ratePerSecond);
  return [waiting, age, rate].filter((text) => text !== '');
}

function inWords({ nodes, edges }: Pipeline): string {
  const services = nodes.map((node) => {
    const shares = sharesOfNode(node).map(({ name, share }) => `${name} ${formatShare(share)}`);
    return `${node.service}: ${shares.length === 0 ? 'not measured yet' : shares.join(', ')}`;
  });
  const flows = edges.flatMap((edge) => {
    const numbers = numbersOf(edge);
    return numbers.length === 0
      ? []
      : [`${edge.carries} from ${edge.from} to ${edge.to}: ${numbers.join(', ')}`];
  });
  return `The pipeline. ${[...services, ...flows].join('. ')}.`;
}
