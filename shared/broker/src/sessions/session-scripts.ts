import { Script } from '../redis/script';

/*
 * A group whose rollouts agents make has a hash while it is in flight:
 *   sample, size (rollouts), offer (its member of `session-offers`), taken (ms; left out: it waits)
 *   replica (whose job it is), owner (the attempt at the job)
 *   <rollout>:key      SHA-256 of the secret of its agent       <rollout>:reward   that the agent gave
 *   <rollout>:ended    id of the call that ended it             <rollout>:calls    how many calls are kept
 *   <rollout>:<n>      the n-th call that was answered
 * `session-keys` leads from a key to its session. A key outlives its group, so that its agent is told that the session is over;
 * `session-keys-over` bounds how many do.
 */

/** Keys of groups that are over, at most. */
const KEYS_OVER = 10_000;

/** For scripts that end what a group was for agents: the keys of its hash, of `session-keys`, `-keys-over` and `-offers`. */
export const RETIRE = `
local function retire(sessions, keys, over, offers)
  for rollout = 0, tonumber(redis.call('HGET', sessions, 'size') or 0) - 1 do
    local key = redis.call('HGET', sessions, rollout .. ':key')
    if key then redis.call('RPUSH', over, key) end
  end
  while redis.call('LLEN', over) > ${KEYS_OVER} do redis.call('HDEL', keys, redis.call('LPOP', over)) end
  local offer = redis.call('HGET', sessions, 'offer')
  if offer then redis.call('ZREM', offers, offer) end
  redis.call('DEL', sessions)
end
`;

/**
 * Offers a group to agents elsewhere. One that was taken stays taken.
 * KEYS sessions, offers, records   ARGV index, member of offers, sample, size, replica, owner
 * Returns 1; 0 when the group is not in flight.
 */
export const offer = new Script(`
if string.sub(redis.call('HGET', KEYS[3], ARGV[1]) or '', 1, 1) ~= 'f' then return 0 end
redis.call('HSET', KEYS[1], 'offer', ARGV[2], 'sample', ARGV[3], 'size', ARGV[4], 'replica', ARGV[5], 'owner', ARGV[6])
if redis.call('HEXISTS', KEYS[1], 'taken') == 0 then redis.call('ZADD', KEYS[2], ARGV[1], ARGV[2]) end
return 1
`);

/**
 * Makes the sessions of a group whose agents are started with these keys. What there was of it is over.
 * KEYS sessions, session keys, keys over, offers, records   ARGV index or '', group, sample, replica, owner, key ...
 * Returns 1; 0 when it is a group that is not in flight.
 */
export const open = new Script(`${RETIRE}
if ARGV[1] ~= '' and string.sub(redis.call('HGET', KEYS[5], ARGV[1]) or '', 1, 1) ~= 'f' then return 0 end
if redis.call('HGET', KEYS[1], '0:key') ~= ARGV[6] then retire(unpack(KEYS, 1, 4)) end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'sample', ARGV[3], 'size', #ARGV - 5, 'replica', ARGV[4], 'owner', ARGV[5],
  'taken', time[1] * 1000 + math.floor(time[2] / 1000))
for i = 6, #ARGV do
  redis.call('HSET', KEYS[1], (i - 6) .. ':key', ARGV[i])
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[2] .. '-' .. (i - 6))
end
return 1
`);

/**
 * Takes a group that waits.
 * KEYS sessions, session keys, offers   ARGV group, key ...
 * Returns its sample; false when it does not wait any more, or has not as many rollouts.
 */
export const take = new Script(`
local h = redis.call('HMGET', KEYS[1], 'sample', 'size', 'taken', '0:key', 'offer')
if h[4] and h[4] == ARGV[2] then return h[1] end
if not h[1] or h[3] or tonumber(h[2]) ~= #ARGV - 1 then return false end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'taken', time[1] * 1000 + math.floor(time[2] / 1000))
for i = 2, #ARGV do
  redis.call('HSET', KEYS[1], (i - 2) .. ':key', ARGV[i])
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[1] .. '-' .. (i - 2))
end
redis.call('ZREM', KEYS[3], h[5])
return h[1]
`);

/** For scripts whose first key is the hash of a group and whose first argument is a rollout: its fields. */
const ROLLOUT = `
local function field(name) return ARGV[1] .. ':' .. name end
local function isThere() return redis.call('HEXISTS', KEYS[1], field('key')) == 1 end
`;

/** KEYS sessions   ARGV rollout, reward   Returns kept, over or unknown. */
export const setReward = new Script(`${ROLLOUT}
if not isThere() then return 'unknown' end
if redis.call('HEXISTS', KEYS[1], field('ended')) == 1 then return 'over' end
redis.call('HSET', KEYS[1], field('reward'), ARGV[2])
return 'kept'
`);

/** KEYS sessions   ARGV rollout, id of the call   Returns kept (also when this very call ended it before), over or unknown. */
export const end = new Script(`${ROLLOUT}
if not isThere() then return 'unknown' end
redis.call('HSETNX', KEYS[1], field('ended'), ARGV[2])
return redis.call('HGET', KEYS[1], field('ended')) == ARGV[2] and 'kept' or 'over'
`);

/**
 * Keeps calls that were answered. Done again it changes nothing.
 * KEYS sessions   ARGV rollout, owner, position of the first, call ...
 * Returns kept; over once the session has ended; moved when another attempt at the job, or none, has the group; or how many
 *   are kept where the first does not come next: a Redis that died has forgotten the others.
 */
export const keep = new Script(`${ROLLOUT}
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[2] then return 'moved' end
local first, has = tonumber(ARGV[3]), tonumber(redis.call('HGET', KEYS[1], field('calls')) or 0)
if has >= first + #ARGV - 3 then return 'kept' end
if redis.call('HEXISTS', KEYS[1], field('ended')) == 1 then return 'over' end
if has < first then return has end
for i = 4, #ARGV do redis.call('HSET', KEYS[1], field(first + i - 4), ARGV[i]) end
redis.call('HSET', KEYS[1], field('calls'), first + #ARGV - 3)
return 'kept'
`);

/**
 * Where the sessions of a group stand.
 * KEYS sessions   ARGV owner
 * Returns false when another attempt, or none, has the group; else milliseconds since it was taken (-1: it waits), then of each
 *   rollout 1 when it has ended, else 0, and its reward or ''.
 */
export const look = new Script(`
local h = redis.call('HMGET', KEYS[1], 'owner', 'taken', 'size')
if h[1] ~= ARGV[1] then return false end
local time = redis.call('TIME')
local standing = { h[2] and time[1] * 1000 + math.floor(time[2] / 1000) - h[2] or -1 }
for rollout = 0, tonumber(h[3]) - 1 do
  local of = redis.call('HMGET', KEYS[1], rollout .. ':ended', rollout .. ':reward')
  table.insert(standing, of[1] and 1 or 0)
  table.insert(standing, of[2] or '')
end
return standing
`);

/** Ends what a group was for agents. KEYS sessions, session keys, keys over, offers   ARGV its owner */
export const remove = new Script(`${RETIRE}
if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then retire(unpack(KEYS)) end
`);
