/** Names of everything Forge keeps in Redis. `docs/messages.md` describes each; a test keeps the two equal. */

/** Keys of one run. The braces keep them in one cluster slot, so that a script may touch all of them. */
export function runKeys(runId: string) {
  const key = (name: string): string => `forge:{${runId}}:${name}`;
  return {
    /** Hash: state, message, version, epoch, counters and settings of the run. */
    run: key('run'),
    /** String: the resolved recipe as JSON. */
    config: key('config'),
    /** Hash: sources of the scripts that parts in other languages call, by name. */
    scripts: key('scripts'),
    /** Hash: how many groups are admitted, in flight, buffered, leased, trained and discarded by reason. */
    ledger: key('ledger'),
    /** Hash: the record of every group by index, its state first. */
    records: key('records'),
    /** Hash: oldest version allowed, by index, of groups whose job has no result yet. */
    pending: key('pending'),
    /** Hash: what the replay buffer needs to know of each buffered group, as JSON by index. */
    buffer: key('buffer'),
    /** Hash: the episodes of buffered and leased groups, by index. */
    payloads: key('payloads'),
    /** Hash: indices and stream entry of each leased batch, by step. */
    leases: key('leases'),
    /** Hash: by version, the hash of its weights and what it was made of. */
    versions: key('versions'),
    /** Stream: finished groups, policy to replay buffer. */
    groups: key('groups'),
    /** Stream: batches, replay buffer to trainer. */
    batches: key('batches'),
    /** Stream: announced weight versions, trainer to everyone. */
    weights: key('weights'),
    /** Hash: by policy replica, the version it generates with and the one it reads. */
    weightsUsers: key('weights-users'),
    /** Hash: by service and replica, where it gives weights to hosts that don't share its disk. */
    weightSources: key('weight-sources'),
    /** Hash: what the trainer is asked for at its next step boundary. */
    weightsRequests: key('weights-requests'),
    /** Stream: metrics and samples for people. */
    telemetry: key('telemetry'),
    /** Stream: finished spans, everyone to coordinator. */
    spans: key('spans'),
    /** Stream: wake-ups for processes that wait for a change of the run's state. */
    signals: key('signals'),
    /** Hash: work that failed for good and messages that could not be understood, by id. */
    deadLetters: key('dead-letters'),
    /** Sorted set: the ids of the dead letters by the time they came. */
    deadLetterOrder: key('dead-letter-order'),
    /** Hash: how many replicas of each service are wanted, and which are to be started anew. */
    wanted: key('wanted'),
    /** List: groups whose samples the next admitted groups roll out again. */
    replays: key('replays'),
    /** Hash: what the curriculum knows of samples and pools, where the run has one. */
    curriculum: key('curriculum'),
    /** Hash: how the groups of each batch went, by step, until the curriculum has taken it in. */
    results: key('results'),
    /** Hash: the session of each key of an agent, by the key's hash. */
    sessionKeys: key('session-keys'),
    /** List: hashes of the keys whose groups are over, oldest first. */
    sessionKeysOver: key('session-keys-over'),
    /** Sorted set: groups that wait for an agent elsewhere, with the ids of their samples, by index. */
    sessionOffers: key('session-offers'),
    /** Hash: how many messages were refused, by where and why. */
    rejected: key('rejected'),
    /** Hash: how many processes have borne a name so far, by `service/replica`. */
    starts: key('starts'),
    /** Hash: addresses at which replicas serve clients, by `service/replica`. */
    served: key('served'),
    /** Hash: live replicas of a service. */
    replicas: (service: string): string => key(`replicas:${service}`),
    /** Hash: the sessions of agents that a group in flight has, and their calls. */
    sessions: (group: string): string => key(`sessions:${group}`),
    /** Prefix of BullMQ's own keys. */
    queuePrefix: `forge:{${runId}}`,
    /** BullMQ queue: rollout and evaluation jobs, coordinator to policy. */
    rolloutQueue: 'rollout',
    /** Matches every key of the run. */
    all: `forge:{${runId}}:*`,
  };
}

export type RunKeys = ReturnType<typeof runKeys>;

/** The keys of the state of a run: all but those of its replicas, of sessions and of BullMQ. */
export function stateKeys(keys: RunKeys): string[] {
  const { queuePrefix, all } = keys;
  return Object.values(keys).filter(
    (key): key is string => typeof key === 'string' && key.startsWith(`${queuePrefix}:`) && key !== all,
  );
}

/** Keys of a mailbox, which belongs to a process and to no run. */
export function mailboxKeys(name: string) {
  const key = (part: string): string => `forge:mailbox:{${name}}:${part}`;
  return {
    /** Stream: pieces of channels, from other processes to the owner. */
    letters: key('letters'),
    /** String that expires: which process has the mailbox. */
    owner: key('owner'),
  };
}

/** Consumer group of every stream that carries work. */
export const CONSUMER_GROUP = 'forge';
