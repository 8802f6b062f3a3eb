import { Script } from './script';

/*
 * States of a group, by index in the `groups` hash:
 *   f  in flight: a job has been or will be queued          p  published: in the episodes stream
 *   b  buffered: in the replay buffer                       l  leased: part of a batch
 *   t  trained                                              d  discarded
 * The ledger counts f and p as inFlight. Every script that moves a group moves its count: admitted is always the sum
 * of the others (invariant L).
 */

/*
 * ioredis sends a command again when the connection is lost before the answer came, though it may have been done. The
 * scripts that are not harmless when done twice know the call again, by an id or by all of its arguments, and answer
 * as they did.
 */

/**
 * Makes a run, whole or not at all.
 * KEYS run, config, episodes, batches, then every other key of the run: what is left there is of no run and deleted
 * ARGV id of the call, consumer group, config, then field, value ... of the run
 * Returns created (also when this very call did it before) or exists.
 */
export const create = new Script(`
if redis.call('EXISTS', KEYS[2]) == 1 then
  if redis.call('HGET', KEYS[1], 'createCall') == ARGV[1] then return 'created' end
  return 'exists'
end
redis.call('DEL', unpack(KEYS))
redis.call('SET', KEYS[2], ARGV[3])
redis.call('HSET', KEYS[1], 'createCall', ARGV[1], unpack(ARGV, 4))
redis.call('XGROUP', 'CREATE', KEYS[3], ARGV[2], '0', 'MKSTREAM')
redis.call('XGROUP', 'CREATE', KEYS[4], ARGV[2], '0', 'MKSTREAM')
return 'created'
`);

/**
 * Admits groups.
 * KEYS run, ledger, groups, pending   ARGV limit, cap on groups in flight, id of the call, coordinator
 * Returns index, minVersion of each admitted group, flat; what it returned before when the newest call comes again;
 * stale when another coordinator took over.
 */
export const admit = new Script(`
local run, ledger, groups, pending = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
if (redis.call('HGET', run, 'coordinator') or '0') ~= ARGV[4] then return 'stale' end
local last = redis.call('HMGET', run, 'admitCall', 'admitAnswer')
if last[1] == ARGV[3] then return cjson.decode(last[2]) end
local h = redis.call('HMGET', run, 'state', 'version', 'maxStaleness', 'candidates', 'steps', 'started', 'nextIndex')
if h[1] ~= 'running' then return {} end
local version, candidates, steps = tonumber(h[2]), tonumber(h[4]), tonumber(h[5])
local started, nextIndex = tonumber(h[6]), tonumber(h[7])
local bound = steps * candidates
if h[3] ~= 'inf' then bound = math.min(bound, (version + tonumber(h[3]) + 1) * candidates) end
local room = math.min(tonumber(ARGV[1]), tonumber(ARGV[2]) - tonumber(redis.call('HGET', ledger, 'inFlight') or 0))
local admitted = {}
while started < bound and #admitted / 2 < room do
  local minVersion = 0
  if h[3] ~= 'inf' then minVersion = math.max(0, math.floor(started / candidates) - tonumber(h[3])) end
  redis.call('HSET', groups, nextIndex, 'f')
  redis.call('HSET', pending, nextIndex, minVersion)
  table.insert(admitted, nextIndex)
  table.insert(admitted, minVersion)
  started = started + 1
  nextIndex = nextIndex + 1
end
if #admitted > 0 then
  redis.call('HSET', run, 'started', started, 'nextIndex', nextIndex)
  redis.call('HSET', run, 'admitCall', ARGV[3], 'admitAnswer', cjson.encode(admitted))
  redis.call('HINCRBY', ledger, 'admitted', #admitted / 2)
  redis.call('HINCRBY', ledger, 'inFlight', #admitted / 2)
end
return admitted
`);

/**
 * Puts a finished group on the episodes stream, once.
 * KEYS groups, pending, episodes   ARGV index, payload, cap on the stream's length
 * Returns accepted, duplicate or full.
 */
export const publishGroup = new Script(`
if redis.call('HGET', KEYS[1], ARGV[1]) ~= 'f' then return 'duplicate' end
if redis.call('XLEN', KEYS[3]) >= tonumber(ARGV[3]) then return 'full' end
redis.call('XADD', KEYS[3], '*', 'index', ARGV[1], 'payload', ARGV[2])
redis.call('HSET', KEYS[1], ARGV[1], 'p')
redis.call('HDEL', KEYS[2], ARGV[1])
return 'accepted'
`);

/**
 * Moves a group from the stream to the buffer and acknowledges the entry.
 * KEYS groups, ledger, episodes, buffer, payloads, signals   ARGV consumer group, entry, index, meta, payload
 * Returns stored, or duplicate when the group was stored or given up before; the buffer then holds what it should.
 */
export const storeGroup = new Script(`
redis.call('XACK', KEYS[3], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[3], ARGV[2])
if redis.call('HGET', KEYS[1], ARGV[3]) ~= 'p' then return 'duplicate' end
redis.call('HSET', KEYS[1], ARGV[3], 'b')
redis.call('HSET', KEYS[4], ARGV[3], ARGV[4])
redis.call('HSET', KEYS[5], ARGV[3], ARGV[5])
redis.call('HINCRBY', KEYS[2], 'inFlight', -1)
redis.call('HINCRBY', KEYS[2], 'buffered', 1)
return 'stored'
`);

/**
 * Gives up a group that is in flight, and returns its admission.
 * KEYS groups, ledger, pending, run, episodes, deadLetter, signals
 * ARGV consumer group, entry or '', index or '', reason, payload to keep, cap on the dead letter
 * Returns 1 when a group was given up, else 0.
 */
export const rejectGroup = new Script(`
if ARGV[2] ~= '' then
  redis.call('XACK', KEYS[5], ARGV[1], ARGV[2])
  redis.call('XDEL', KEYS[5], ARGV[2])
end
redis.call('XADD', KEYS[6], 'MAXLEN', '~', ARGV[6], '*', 'index', ARGV[3], 'reason', ARGV[4], 'payload', ARGV[5])
if ARGV[3] == '' then return 0 end
local state = redis.call('HGET', KEYS[1], ARGV[3])
if state ~= 'f' and state ~= 'p' then return 0 end
redis.call('HSET', KEYS[1], ARGV[3], 'd')
redis.call('HDEL', KEYS[3], ARGV[3])
redis.call('HINCRBY', KEYS[2], 'inFlight', -1)
redis.call('HINCRBY', KEYS[2], 'discarded:' .. ARGV[4], 1)
redis.call('HINCRBY', KEYS[4], 'started', -1)
redis.call('XADD', KEYS[7], 'MAXLEN', '~', 100, '*', 'what', 'discarded')
return 1
`);

/**
 * Discards buffered groups and returns their admission.
 * KEYS groups, ledger, run, buffer, payloads, signals   ARGV reason, index ...
 * Returns how many were discarded.
 */
export const discard = new Script(`
local count = 0
for i = 2, #ARGV do
  if redis.call('HGET', KEYS[1], ARGV[i]) == 'b' then
    redis.call('HSET', KEYS[1], ARGV[i], 'd')
    redis.call('HDEL', KEYS[4], ARGV[i])
    redis.call('HDEL', KEYS[5], ARGV[i])
    count = count + 1
  end
end
if count > 0 then
  redis.call('HINCRBY', KEYS[2], 'buffered', -count)
  redis.call('HINCRBY', KEYS[2], 'discarded:' .. ARGV[1], count)
  redis.call('HINCRBY', KEYS[3], 'started', -count)
  redis.call('XADD', KEYS[6], 'MAXLEN', '~', 100, '*', 'what', 'discarded')
end
return count
`);

/**
 * Forms the batch of a step: chosen groups are leased, the other candidates discarded without returning admission,
 * since the step that consumes them raises the bound.
 * KEYS groups, ledger, run, buffer, payloads, leases, batches
 * ARGV step, batch, number of chosen groups, chosen index ..., other index ...
 * Returns formed (also when the same call formed it before), or why not: step (another batch is due), count (not as
 * many groups as a batch consumes), state (a group is not buffered, or named twice), stale (invariant S).
 */
export const formBatch = new Script(`
local h = redis.call('HMGET', KEYS[3], 'nextBatch', 'maxStaleness', 'candidates', 'formCall')
local step, chosen = tonumber(ARGV[1]), tonumber(ARGV[3])
local call = redis.sha1hex(table.concat(ARGV, ' '))
if tonumber(h[1]) == step + 1 and h[4] == call then return 'formed' end
if tonumber(h[1]) ~= step then return 'step' end
if #ARGV - 3 ~= tonumber(h[3]) then return 'count' end
local named = {}
for i = 4, #ARGV do
  if named[ARGV[i]] or redis.call('HGET', KEYS[1], ARGV[i]) ~= 'b' then return 'state' end
  named[ARGV[i]] = true
  if i < 4 + chosen and h[2] ~= 'inf' then
    local meta = cjson.decode(redis.call('HGET', KEYS[4], ARGV[i]))
    if step - meta.version > tonumber(h[2]) then return 'stale' end
  end
end
local leased = {}
for i = 4, #ARGV do
  redis.call('HDEL', KEYS[4], ARGV[i])
  if i < 4 + chosen then
    redis.call('HSET', KEYS[1], ARGV[i], 'l')
    table.insert(leased, ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], 'd')
    redis.call('HDEL', KEYS[5], ARGV[i])
  end
end
local others = #ARGV - 3 - chosen
redis.call('HINCRBY', KEYS[2], 'buffered', -(chosen + others))
redis.call('HINCRBY', KEYS[2], 'leased', chosen)
if others > 0 then redis.call('HINCRBY', KEYS[2], 'discarded:not-selected', others) end
local entry = redis.call('XADD', KEYS[7], '*', 'batch', ARGV[2])
redis.call('HSET', KEYS[6], step, cjson.encode({ entry = entry, indices = leased }))
redis.call('HSET', KEYS[3], 'nextBatch', step + 1, 'formCall', call)
return 'formed'
`);

/**
 * Ends an optimizer step: its groups are trained, the new version is current and announced.
 * KEYS groups, ledger, run, payloads, leases, batches, weights, signals
 * ARGV consumer group, step, epoch, announcement
 * Returns committed, duplicate (this step is committed already by this epoch), or stale (another trainer took over,
 * or another step is due).
 */
export const commitStep = new Script(`
local h = redis.call('HMGET', KEYS[3], 'version', 'epoch')
local version, step = tonumber(h[1]), tonumber(ARGV[2])
if h[2] ~= ARGV[3] then return 'stale' end
if version == step + 1 then return 'duplicate' end
local stored = redis.call('HGET', KEYS[5], step)
if version ~= step or not stored then return 'stale' end
local lease = cjson.decode(stored)
for _, index in ipairs(lease.indices) do
  redis.call('HSET', KEYS[1], index, 't')
  redis.call('HDEL', KEYS[4], index)
end
redis.call('HINCRBY', KEYS[2], 'leased', -#lease.indices)
redis.call('HINCRBY', KEYS[2], 'trained', #lease.indices)
redis.call('HDEL', KEYS[5], step)
redis.call('XACK', KEYS[6], ARGV[1], lease.entry)
redis.call('XDEL', KEYS[6], lease.entry)
redis.call('HSET', KEYS[3], 'version', step + 1)
redis.call('XADD', KEYS[7], 'MAXLEN', '~', 16, '*', 'announcement', ARGV[4])
redis.call('XADD', KEYS[8], 'MAXLEN', '~', 100, '*', 'what', 'committed')
return 'committed'
`);

/**
 * Announces the weights a trainer starts from.
 * KEYS run, weights, signals   ARGV epoch, version, announcement
 * Returns announced or stale.
 */
export const announceWeights = new Script(`
local h = redis.call('HMGET', KEYS[1], 'version', 'epoch')
if h[2] ~= ARGV[1] or h[1] ~= ARGV[2] then return 'stale' end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', 16, '*', 'announcement', ARGV[3])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 100, '*', 'what', 'announced')
return 'announced'
`);
