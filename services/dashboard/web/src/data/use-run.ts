import { useEffect, useState } from 'preact/hooks';
import { NOTHING_KNOWN } from './run-state';
import { RunFeed, type RunFeedState } from './run-feed';

const CONNECTING: RunFeedState = { ...NOTHING_KNOWN, connection: 'connecting', refusal: null };

/** A run, as it is now and becomes. */
export function useRun(id: string): RunFeedState {
  const [state, setState] = useState(CONNECTING);
  useEffect(() => {
    setState(CONNECTING);
    const feed = new RunFeed(id, setState);
    return () => feed.close();
  }, [id]);
  return state;
}
