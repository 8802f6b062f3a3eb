import { useState } from 'preact/hooks';
import { post, RequestProblem } from './api-client';
import { keepToken, useToken } from './token';

/** The outcome of the last change that was asked for. */
export interface Outcome {
  isGood: boolean;
  text: string;
}

export interface Action {
  isAsking: boolean;
  outcome: Outcome | null;
  /** Asks for a change; `asked` says it was, in words. */
  act: (path: string, body: object, asked: string) => Promise<boolean>;
}

/** Changes something, by the token. A wrong one is forgotten. */
export function useAction(): Action {
  const token = useToken();
  const [isAsking, setAsking] = useState(false);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const act = async (path: string, body: object, asked: string): Promise<boolean> => {
    if (token === null) return false;
    setAsking(true);
    setOutcome(null);
    try {
      await post(path, token, body);
      setOutcome({ isGood: true, text: asked });
      return true;
    } catch (error) {
      const isWrongToken = error instanceof RequestProblem && error.status === 401;
      if (isWrongToken) keepToken(null);
      setOutcome({ isGood: false, text: isWrongToken ? WRONG_TOKEN : (error as Error).message });
      return false;
    } finally {
      setAsking(false);
    }
  };
  return { isAsking, outcome, act };
}

const WRONG_TOKEN =
  'The token is wrong, and nothing was changed. The right one is in the address that was printed at the start (#token=…), or in FORGE_DASHBOARD_TOKEN.';
