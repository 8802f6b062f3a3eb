import type { PipelineNode, ReplicaView } from '../../../src/api';
import { PipelineGraph } from '../charts/pipeline-graph';
import { sharesOfNode } from '../charts/time-shares';
import { runPath } from '../data/api-client';
import { useAction } from '../data/use-action';
import { formatBytes, formatDuration, formatShare } from '../format/numbers';
import { ConfirmButton } from '../parts/confirm-button';
import { Guarded } from '../parts/guarded';
import { OutcomeLine } from '../parts/outcome-line';
import { PipelineLegend } from '../parts/pipeline-legend';
import { whyNotSteered, type KnownRun } from './known-run';

/** How the services work together, and their replicas. */
export function PipelineTab({ run }: { run: KnownRun }) {
  const { pipeline, live } = run.view;
  return (
    <>
      <section aria-labelledby="graph">
        <h2 id="graph">Pipeline</h2>
        <div class="card">
          <PipelineGraph pipeline={pipeline} />
          <PipelineLegend />
        </div>
      </section>
      <section aria-labelledby="time">
        <h2 id="time">How services spend their time</h2>
        <ul class="time-shares card">
          {pipeline.nodes.map((node) => (
            <TimeShares key={node.service} node={node} />
          ))}
        </ul>
      </section>
      <section aria-labelledby="replicas">
        <h2 id="replicas">Replicas</h2>
        {live === null ? (
          <p class="empty">No replicas: {whyNotSteered(run)}</p>
        ) : (
          <Replicas run={run} replicas={live.replicas} />
        )}
      </section>
    </>
  );
}

function TimeShares({ node }: { node: PipelineNode }) {
  const shares = sharesOfNode(node);
  return (
    <li>
      <span class="time-shares-name">{node.service}</span>
      <span class="time-shares-bar" aria-hidden="true">
        {shares.map(({ kind, name, share }) => (
          <span key={name} class={`share-${kind}`} style={{ width: `${100 * share}%` }} />
        ))}
      </span>
      <span class="muted time-shares-text">
        {shares.length === 0
          ? 'not measured yet'
          : shares.map(({ name, share }) => `${name} ${formatShare(share)}`).join(' · ')}
        {node.memoryBytes !== null && ` · ${formatBytes(node.memoryBytes)}`}
      </span>
    </li>
  );
}

function Replicas({ run, replicas }: { run: KnownRun; replicas: readonly ReplicaView[] }) {
  const { isAsking, outcome, act } = useAction();
  const id = run.view.run.id;
  const restart = (target: string): void =>
    void act(`${runPath(id)}/restart`, { target }, `${target} was asked to start again.`);
  return (
    <Guarded legend="Restart replicas" barred={whyNotSteered(run)} isBusy={isAsking}>
      <table class="cards">
        <thead>
          <tr>
            <th scope="col">Replica</th>
            <th scope="col">Health</th>
            <th scope="col">Last heartbeat</th>
            <th scope="col" title="Since the run began, for whatever reason">
              Restarts
            </th>
            <th scope="col">Process</th>
            <th scope="col">Address</th>
            <th scope="col">
              <span class="visually-hidden">Change</span>
            </th>
          </tr>
        </thead>
        <tbody aria-live="off">
          {replicas.map(({ service, replica, isReady, silentMs, restarts, pid, url }) => {
            const name = `${service}/${replica}`;
            return (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td data-label="Health">
                  <span class={isReady ? 'health good' : 'health bad'}>
                    {isReady ? '● ready' : '○ not ready'}
                  </span>
                </td>
                <td data-label="Last heartbeat">{formatDuration(silentMs)} ago</td>
                <td data-label="Restarts">{restarts}</td>
                <td data-label="Process">{pid}</td>
                <td data-label="Address" class="muted">
                  {url}
                </td>
                <td>
                  <ConfirmButton
                    label={`Restart ${name}`}
                    question={`Start ${name} again? It drains first; what it can’t finish is done by others.`}
                    onConfirm={() => restart(name)}
                  >
                    Restart
                  </ConfirmButton>
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
      <OutcomeLine outcome={outcome} />
    </Guarded>
  );
}
