import { useEffect, useRef } from 'preact/hooks';
import { Header } from './parts/header';
import { Problem } from './parts/problem';
import { useRoute } from './parts/use-route';
import { CompareView } from './views/compare-view';
import { NewestView } from './views/newest-view';
import { RunView } from './views/run-view';
import { RunsView } from './views/runs-view';
import type { Route } from './route';

/** The page: a header, and what its address says. */
export function App() {
  const route = useRoute();
  const main = useRef<HTMLElement>(null);
  const place = placeOf(route);
  const shown = useRef(place);
  useEffect(() => {
    document.title = place === '' ? 'Forge' : `${place} · Forge`;
    // Readers by keyboard or ear begin where the new view does.
    if (shown.current !== place) main.current?.focus({ preventScroll: true });
    shown.current = place;
  }, [place]);
  return (
    <>
      <a class="skip-link" href="#main" onClick={(event) => (event.preventDefault(), main.current?.focus())}>
        Skip to content
      </a>
      <Header />
      <main id="main" ref={main} tabIndex={-1}>
        <View route={route} />
      </main>
    </>
  );
}

function View({ route }: { route: Route }) {
  switch (route.view) {
    case 'runs':
      return <RunsView />;
    case 'newest':
      return <NewestView />;
    case 'compare':
      return <CompareView key={`${route.a} ${route.b}`} a={route.a} b={route.b} />;
    case 'unknown':
      return (
        <Problem title="There is no such view">
          Nothing is shown at <code>{route.hash}</code>. <a href="#/">All runs</a>
        </Problem>
      );
    default:
      return <RunView key={route.id} route={route} />;
  }
}

function placeOf(route: Route): string {
  switch (route.view) {
    case 'run':
      return `${route.id} ${route.tab === 'overview' ? '' : route.tab}`.trim();
    case 'rollout':
      return `rollout ${route.index} of ${route.id}`;
    case 'step':
      return `step ${route.step} of ${route.id}`;
    case 'compare':
      return `${route.a} and ${route.b}`;
    default:
      return '';
  }
}
