import { useEffect } from 'preact/hooks';
import type { RunListing } from '../../../src/api';
import { useAnswer } from '../data/use-answer';
import { runHref } from '../route';

/** Goes on to the run that goes on where there is just one, else to all of them. */
export function NewestView() {
  const { data, problem } = useAnswer<RunListing[]>('/runs');
  useEffect(() => {
    if (data === null && problem === null) return;
    const running = (data ?? []).filter(({ state }) => state === 'running');
    location.replace(running.length === 1 ? runHref(running[0]!.id) : '#/');
  }, [data, problem]);
  return <p class="muted">Looking for the run that goes on …</p>;
}
