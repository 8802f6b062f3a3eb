import type { LiveView } from '../../../src/api';
import { runPath } from '../data/api-client';
import { useAction } from '../data/use-action';
import { formatDuration } from '../format/numbers';
import { Guarded } from '../parts/guarded';
import { NumberSetting } from '../parts/number-setting';
import { OutcomeLine } from '../parts/outcome-line';
import { changeText } from './control-marks';
import { whyNotSteered, type KnownRun } from './known-run';

/** Changes that can be made while it runs, and those that were. */
export function SteerTab({ run }: { run: KnownRun }) {
  const { view, controls } = run;
  return (
    <>
      <section aria-labelledby="steer">
        <h2 id="steer">Steer</h2>
        <Steering id={view.run.id} live={view.live} barred={whyNotSteered(run)} />
      </section>
      <section aria-labelledby="changes">
        <h2 id="changes">Changes so far</h2>
        {controls.length === 0 ? (
          <p class="empty">Nothing was changed.</p>
        ) : (
          <ol class="change-log card">
            {controls.map((change, k) => (
              <li key={k}>
                <span class="muted">
                  step {change.version}, {formatDuration(1000 * change.seconds)}
                </span>{' '}
                {changeText(change)}
              </li>
            ))}
          </ol>
        )}
      </section>
    </>
  );
}

function Steering({ id, live, barred }: { id: string; live: LiveView | null; barred: string | null }) {
  const { isAsking, outcome, act } = useAction();
  const ask = (what: string, body: object, asked: string): void =>
    void act(`${runPath(id)}/${what}`, body, asked);
  return (
    <Guarded legend="Changes" barred={barred} isBusy={isAsking}>
      <OutcomeLine outcome={outcome} />
      {live !== null && (
        <div class="settings-grid">
          <div class="card setting">
            <h3>Admission</h3>
            <p class="muted">Paused, no new group starts; what has started goes on.</p>
            {live.isPaused ? (
              <button
                type="button"
                class="primary"
                onClick={() => ask('unpause', {}, 'The run was asked to go on.')}
              >
                Resume
              </button>
            ) : (
              <button
                type="button"
                class="primary"
                onClick={() => ask('pause', {}, 'The run was asked to pause.')}
              >
                Pause
              </button>
            )}
          </div>
          <NumberSetting
            title="maxStaleness"
            about="Trained tokens are at most so many versions old. Empty: no bound."
            current={live.maxStaleness}
            least={0}
            mayBeEmpty={true}
            onSet={(to) => ask('set', { maxStaleness: to }, `maxStaleness=${to ?? 'none'} was asked for.`)}
          />
          <NumberSetting
            title="steps"
            about="The run ends after so many."
            current={live.steps}
            least={1}
            onSet={(to) => ask('set', { steps: to }, `steps=${to} was asked for.`)}
          />
          {Object.entries(live.wanted).map(([service, count]) => (
            <NumberSetting
              key={service}
              title={`Replicas of ${service}`}
              about={`Ready: ${live.replicas.filter((one) => one.service === service && one.isReady).length}.`}
              current={count}
              least={1}
              onSet={(to) => ask('scale', { [service]: to }, `${to} replicas of ${service} were asked for.`)}
            />
          ))}
        </div>
      )}
    </Guarded>
  );
}
