import {
  hashOfKey,
  newSessionKey,
  type OpenSession,
  type SessionDirectory,
  type SessionVerdict,
  type TakenGroup,
} from '@forge/broker';
import type { Sample, SessionAnswer, SessionCall } from '@forge/contracts';
import type { Logger } from '@forge/telemetry';
import { openGateway, type Gateway, type GatewayLimits } from '../gateway-server';
import { ScriptedPolicy, type Script } from '../scripted-policy.fixture';
import { requireCaller } from './callers';
import { SessionAnswers } from './session-answers';
import type { SessionReplicas } from './session-replicas';
import { sessionRoutes } from './session-routes';

export const TOKEN = 'the token of the owner';

/** A directory in memory. */
export class StandInDirectory implements Pick<
  SessionDirectory,
  'take' | 'byKey' | 'byId' | 'setReward' | 'end'
> {
  readonly sessions = new Map<string, OpenSession>();
  private readonly keys = new Map<string, string>();
  private readonly samples = new Map<string, Sample>();
  private readonly waiting: { group: string; sample: Sample; replica: string }[] = [];

  offer(group: string, sample: Sample, replica = '0'): void {
    this.waiting.push({ group, sample, replica });
  }

  async take(groupSize: number, sampleId?: string, keys?: readonly string[]): Promise<TakenGroup | null> {
    const known = keys && (await this.byKey(hashOfKey(keys[0]!)));
    if (keys && known) return this.shown(known.group, keys);
    return this.taken(sampleId, keys ?? Array.from({ length: groupSize }, newSessionKey));
  }

  private taken(sampleId: string | undefined, keys: readonly string[]): TakenGroup | null {
    const at = this.waiting.findIndex(({ sample }) => sampleId === undefined || sample.id === sampleId);
    if (at < 0) return null;
    const [{ group, sample, replica }] = this.waiting.splice(at, 1) as [(typeof this.waiting)[number]];
    this.samples.set(group, sample);
    for (const [rollout, key] of keys.entries()) {
      const sessionId = `${group}-${rollout}`;
      this.sessions.set(sessionId, { sessionId, group, rollout, replica, state: 'open', reward: null });
      this.keys.set(hashOfKey(key), sessionId);
    }
    return this.shown(group, keys);
  }

  private shown(group: string, keys: readonly string[]): TakenGroup {
    const sessions = keys.map((key, rollout) => ({ sessionId: `${group}-${rollout}`, key }));
    return { group, sample: this.samples.get(group)!, sessions };
  }

  byKey(keyHash: string): Promise<OpenSession | null> {
    return this.byId(this.keys.get(keyHash) ?? '');
  }

  byId(sessionId: string): Promise<OpenSession | null> {
    return Promise.resolve(this.sessions.get(sessionId) ?? null);
  }

  setReward(sessionId: string, reward: number): Promise<SessionVerdict> {
    return this.change(sessionId, (session) => void (session.reward = reward));
  }

  end(sessionId: string): Promise<SessionVerdict> {
    return this.change(sessionId, (session) => void (session.state = 'ended'));
  }

  private change(sessionId: string, change: (session: OpenSession) => void): Promise<SessionVerdict> {
    const session = this.sessions.get(sessionId);
    if (session === undefined) return Promise.resolve('unknown');
    if (session.state === 'ended') return Promise.resolve('over');
    change(session);
    return Promise.resolve('kept');
  }
}

/** Policy replicas in memory, which say what they are told to and keep it. */
export class StandInReplicas implements SessionReplicas {
  /** Calls that came, by the replica they came to. */
  readonly came: { replica: string; call: SessionCall }[] = [];
  readonly ends: string[] = [];
  readonly there = new Set(['0']);
  /** Done before a call is answered. */
  before: (replica: string) => Promise<void> = () => Promise.resolve();
  private readonly kept = new Map<string, SessionAnswer>();

  constructor(private readonly policy: ScriptedPolicy) {}

  isThere(replica: string): Promise<boolean> {
    return Promise.resolve(this.there.has(replica));
  }

  async answer(replica: string, call: SessionCall): Promise<SessionAnswer> {
    this.came.push({ replica, call });
    await this.before(replica);
    const known = call.isRetry ? this.kept.get(call.digest) : undefined;
    if (known !== undefined) return known;
    const { messages, tools, stop = [], maxTokens = 1 } = call;
    const tokenIds = await this.policy.renderChat({ messages, tools });
    const request = { prompt: { tokenIds }, sampling: { stop, maxTokens }, rolloutIds: ['r'] };
    const [completion] = await this.policy.draw(request, new AbortController().signal, null);
    const parsed = { tokenIds: completion!.tokenIds, tools, callIds: `call_${this.kept.size}` };
    const answer = { message: await this.policy.parseAnswer(parsed), completion: completion! };
    this.kept.set(call.digest, answer);
    return answer;
  }

  ended(_: string, sessionId: string): void {
    this.ends.push(sessionId);
  }
}

export interface StandIns {
  gateway: Gateway;
  directory: StandInDirectory;
  replicas: StandInReplicas;
  policy: ScriptedPolicy;
  /** Statuses, or reasons, of requests that were refused. */
  refused: string[];
}

/** A gateway with sessions of groups of two, at a free port. */
export async function startSessions(
  script: Script,
  options: { goesOn?: boolean; patienceMs?: number; limits?: Partial<GatewayLimits> } = {},
): Promise<StandIns> {
  const { goesOn = true, patienceMs = 2_000, limits = {} } = options;
  const policy = new ScriptedPolicy(script);
  const directory = new StandInDirectory();
  const replicas = new StandInReplicas(policy);
  const refused: string[] = [];
  const gateway = await openGateway({
    source: new SessionAnswers({ directory, replicas, policy, patienceMs }),
    ...{ names: ['trained'], prefixes: ['', '/sessions/:sessionId'], host: '127.0.0.1', port: 0, limits },
    logger: { info: () => undefined, warn: () => undefined } as unknown as Logger,
    extend: (http) => {
      requireCaller(http, directory, TOKEN);
      const given = { directory, replicas, token: TOKEN, groupSize: 2 };
      sessionRoutes(http, { ...given, goesOn: () => Promise.resolve(goesOn) });
    },
    refused: (reason) => refused.push(reason),
  });
  return { gateway, directory, replicas, policy, refused };
}
