import { useRef } from 'preact/hooks';
import type { RunFeedState } from '../data/run-feed';
import { useRun } from '../data/use-run';
import { Banner } from '../parts/banner';
import { sentence } from '../format/sentence';
import { Problem } from '../parts/problem';
import { runHref, TABS, type Route, type Tab } from '../route';
import { CurvesTab } from './curves-tab';
import { Headline } from './headline';
import { LedgerTab } from './ledger-tab';
import { marksOf } from './control-marks';
import { OverviewTab } from './overview-tab';
import { PipelineTab } from './pipeline-tab';
import { RolloutView } from './rollout-view';
import { RolloutsTab } from './rollouts-tab';
import { SettingsTab } from './settings-tab';
import { SteerTab } from './steer-tab';
import { StepView } from './step-view';
import { WeightsTab } from './weights-tab';
import { maxStalenessOf, type KnownRun } from './known-run';

type RunRoute = Extract<Route, { id: string }>;

/** One run: its headline, and a part of what is known of it. */
export function RunView({ route }: { route: RunRoute }) {
  const state = useRun(route.id);
  const { view, refusal } = state;
  const marks = useSame(marksOf(state.controls, state.rows));
  if (refusal !== null && view === null) {
    const title = refusal.status === 404 ? 'There is no such run' : 'This run can’t be shown';
    return (
      <Problem title={title}>
        {sentence(refusal.message)} <a href="#/">All runs</a>
      </Problem>
    );
  }
  return (
    <>
      <Banners state={state} />
      {view === null ? (
        <p class="muted">Loading …</p>
      ) : (
        <>
          <Headline view={view} rows={state.rows} maxStaleness={maxStalenessOf({ ...state, view })} />
          <Tabs route={route} deadLetters={view.live?.deadLetters ?? 0} />
          <Part route={route} run={{ ...state, view, marks }} />
        </>
      )}
    </>
  );
}

/** The value of before while it says the same: what is drawn from it need not be drawn again. */
function useSame<T>(value: T): T {
  const known = useRef(value);
  if (JSON.stringify(known.current) !== JSON.stringify(value)) known.current = value;
  return known.current;
}

function Banners({ state: { view, connection, problem, refusal } }: { state: RunFeedState }) {
  if (refusal !== null) return <Banner>{sentence(refusal.message)} What is shown is of before.</Banner>;
  if (connection === 'lost')
    return <Banner>The dashboard’s server does not answer. What is shown is of before; trying again.</Banner>;
  if (problem !== null) return <Banner>{sentence(problem)} Trying again.</Banner>;
  if (view?.liveProblem)
    return (
      <Banner>{sentence(view.liveProblem)} What is live is missing until it answers; trying again.</Banner>
    );
  return null;
}

const NAMES: Record<Tab, string> = {
  overview: 'Overview',
  curves: 'Curves',
  pipeline: 'Pipeline',
  rollouts: 'Rollouts',
  ledger: 'Ledger',
  weights: 'Weights',
  steer: 'Steer',
  settings: 'Settings',
};

function Tabs({ route, deadLetters }: { route: RunRoute; deadLetters: number }) {
  const current = route.view === 'run' ? route.tab : route.view === 'step' ? 'curves' : 'rollouts';
  return (
    <nav class="tabs" aria-label="Parts of the run">
      {TABS.map((tab) => (
        <a key={tab} href={runHref(route.id, tab)} aria-current={tab === current ? 'page' : undefined}>
          {NAMES[tab]}
          {tab === 'ledger' && deadLetters > 0 && (
            <span class="count" title={`${deadLetters} dead letters`}>
              {deadLetters}
            </span>
          )}
        </a>
      ))}
    </nav>
  );
}

function Part({ route, run }: { route: RunRoute; run: KnownRun }) {
  if (route.view === 'rollout') return <RolloutView run={run} index={route.index} />;
  if (route.view === 'step') return <StepView run={run} step={route.step} />;
  switch (route.tab) {
    case 'overview':
      return <OverviewTab run={run} />;
    case 'curves':
      return <CurvesTab run={run} />;
    case 'pipeline':
      return <PipelineTab run={run} />;
    case 'rollouts':
      return <RolloutsTab run={run} />;
    case 'ledger':
      return <LedgerTab run={run} />;
    case 'weights':
      return <WeightsTab run={run} />;
    case 'steer':
      return <SteerTab run={run} />;
    case 'settings':
      return <SettingsTab run={run} />;
  }
}
