import { Script } from '../redis/script';
import { RETIRE } from '../sessions/session-scripts';

/*
 * The record of a group, by index in the `records` hash, begins with the group's state:
 *   f  in flight: a job has been or will be queued          p  published: in the groups stream
 *   b  buffered: in the replay buffer                       l  leased: part of a batch
 *   t  trained                                              d  discarded
 * and goes on with what happened to it, a letter for each: ` m<minVersion>` and ` o<group it replays>` (admit),
 * ` q<position of its sample>` (assign, where a curriculum draws), ` r<replica> v<oldest>-<newest>`
 * (publishGroup), ` s<step>` (formBatch), ` x<reason>` (whatever discards). `group-record.ts` reads them.
 *
 * The ledger counts f and p as inFlight. Every script that moves a group moves its count: admitted is always the sum
 * of the others (invariant L).
 */

/** For scripts whose first key is `records`: reads the state of a group, and moves it with a note for its record. */
const MOVES = `
local function stateOf(index)
  return string.sub(redis.call('HGET', KEYS[1], index) or '', 1, 1)
end
local function move(index, state, note)
  redis.call('HSET', KEYS[1], index, state .. string.sub(redis.call('HGET', KEYS[1], index) or '', 2) .. note)
end
`;

/** For scripts whose first key is `records` and whose fourth is `buffer`: how a group went, for a curriculum. */
const RESULTS = `
local function resultOf(index)
  local went = cjson.decode(redis.call('HGET', KEYS[4], index))
  local position = string.match(redis.call('HGET', KEYS[1], index), ' q(%d+)') or index
  local reward = string.format('%.17g', went.sums.reward / went.sums.rollouts)
  return position .. ' ' .. reward .. ' ' .. (went.informative and 1 or 0)
end
`;

/*
 * ioredis sends a command again when the connection is lost before the answer came, though it may have been done. The
 * scripts that are not harmless when done twice know the call again, by an id or by all of its arguments, and answer
 * as they did.
 */

/** For scripts whose second to fourth key are `run`, the dead letters and their order: keeps a letter. */
export const LETTERS = `
local function keep(id, letter, cap)
  local time = redis.call('TIME')
  redis.call('HSET', KEYS[3], id, letter)
  redis.call('ZADD', KEYS[4], time[1] * 1000 + math.floor(time[2] / 1000), id)
  while redis.call('HLEN', KEYS[3]) > tonumber(cap) do
    redis.call('HDEL', KEYS[3], redis.call('ZPOPMIN', KEYS[4])[1])
    redis.call('HINCRBY', KEYS[2], 'lettersDropped', 1)
  end
end
`;

/**
 * Makes a run, whole or not at all.
 * KEYS run, config, groups, batches, scripts, then every other key of the run: what is left there is of no run and deleted
 * ARGV id of the call, consumer group, config, number of names and sources of scripts, these, then field, value ... of
 *   the run
 * Returns created (also when this very call did it before) or exists.
 */
export const create = new Script(`
if redis.call('EXISTS', KEYS[2]) == 1 then
  if redis.call('HGET', KEYS[1], 'createCall') == ARGV[1] then return 'created' end
  return 'exists'
end
redis.call('DEL', unpack(KEYS))
redis.call('SET', KEYS[2], ARGV[3])
local sources = tonumber(ARGV[4])
redis.call('HSET', KEYS[5], unpack(ARGV, 5, 4 + sources))
redis.call('HSET', KEYS[1], 'createCall', ARGV[1], unpack(ARGV, 5 + sources))
redis.call('XGROUP', 'CREATE', KEYS[3], ARGV[2], '0', 'MKSTREAM')
redis.call('XGROUP', 'CREATE', KEYS[4], ARGV[2], '0', 'MKSTREAM')
return 'created'
`);

/**
 * Admits groups, and forgets as many of the oldest that are trained or discarded as there are more than the history may
 * hold: their records are deleted and counted, and those of the versions that were made of nothing else, but the newest,
 * are deleted.
 * KEYS run, ledger, records, pending, versions, replays
 * ARGV limit, cap on groups in flight, id of the call, cap on the records kept, cap on groups in flight, buffered and
 *   leased together, coordinator
 * Returns index, minVersion, and the group it replays or '', of each admitted group, flat; what it returned before when
 * the newest call comes again; stale when another coordinator took over.
 */
export const admit = new Script(`
local run, ledger, records, pending, versions, replays = unpack(KEYS)
if (redis.call('HGET', run, 'coordinator') or '0') ~= ARGV[6] then return 'stale' end
local last = redis.call('HMGET', run, 'admitCall', 'admitAnswer')
if last[1] == ARGV[3] then return cjson.decode(last[2]) end
local h = redis.call('HMGET', run, 'state', 'version', 'maxStaleness', 'candidates', 'steps', 'started', 'nextIndex',
  'firstKept', 'firstKeptVersion', 'paused', 'pace', 'groupsInFlight')
if h[1] ~= 'running' or h[10] == '1' then return {} end
local version, candidates, steps = tonumber(h[2]), tonumber(h[4]), tonumber(h[5])
local started, nextIndex = tonumber(h[6]), tonumber(h[7])
local bound = steps * candidates
local ahead = h[3] == 'inf' and math.huge or tonumber(h[3])
ahead = math.min(ahead, tonumber(h[11] or '') or ahead)
bound = math.min(bound, (version + ahead + 1) * candidates)
local places = redis.call('HMGET', ledger, 'inFlight', 'buffered', 'leased')
local inFlight = tonumber(places[1] or 0)
local held = inFlight + tonumber(places[2] or 0) + tonumber(places[3] or 0)
local most = math.min(tonumber(ARGV[2]), tonumber(h[12] or '') or math.huge)
local room = math.min(tonumber(ARGV[1]), most - inFlight, tonumber(ARGV[5]) - held)
local admitted = {}
while started < bound and #admitted / 3 < room do
  local minVersion = 0
  if h[3] ~= 'inf' then minVersion = math.max(0, math.floor(started / candidates) - tonumber(h[3])) end
  local replayed = redis.call('LPOP', replays)
  redis.call('HSET', records, nextIndex, 'f m' .. minVersion .. (replayed and ' o' .. replayed or ''))
  redis.call('HSET', pending, nextIndex, minVersion .. (replayed and ' ' .. replayed or ''))
  for _, value in ipairs({ nextIndex, minVersion, replayed or '' }) do table.insert(admitted, value) end
  started = started + 1
  nextIndex = nextIndex + 1
end
if #admitted > 0 then
  redis.call('HSET', run, 'started', started, 'nextIndex', nextIndex)
  redis.call('HSET', run, 'admitCall', ARGV[3], 'admitAnswer', cjson.encode(admitted))
  redis.call('HINCRBY', ledger, 'admitted', #admitted / 3)
  redis.call('HINCRBY', ledger, 'inFlight', #admitted / 3)
end
local first, forgotten = tonumber(h[8] or 0), 0
while nextIndex - first > tonumber(ARGV[4]) and forgotten < #admitted do
  local record = redis.call('HGET', records, first) or ''
  local state, reason = string.sub(record, 1, 1), string.match(record, ' x(%S+)')
  if state ~= 't' and state ~= 'd' then break end
  redis.call('HINCRBY', ledger, state == 't' and 'forgotten:trained' or ('forgotten:discarded:' .. (reason or '')), 1)
  redis.call('HDEL', records, first)
  first = first + 1
  forgotten = forgotten + 1
end
if forgotten > 0 then
  local made = tonumber(h[9] or 1)
  repeat
    local stored = made < version and redis.call('HGET', versions, made)
    local isOver = stored ~= false
    if isOver then
      for _, index in ipairs(cjson.decode(stored).groups) do isOver = isOver and tonumber(index) < first end
    end
    if isOver then
      redis.call('HDEL', versions, made)
      made = made + 1
    end
  until not isOver
  redis.call('HSET', run, 'firstKept', first, 'firstKeptVersion', made)
end
return admitted
`);

/**
 * Says which samples admitted groups roll out, and what the curriculum that drew them knows now.
 * KEYS run, records, pending, curriculum, results
 * ARGV coordinator, field that counts assignments, number of this one, number of groups, index, position, ..., number of steps whose results it took in, step, ...,
 *   then field of the curriculum, 1 to set or 0 to delete it, value, ...
 * Returns assigned (also when it is done again), stale when another coordinator took over, or behind when the
 * assignment before it is not there.
 */
export const assign = new Script(`
if (redis.call('HGET', KEYS[1], 'coordinator') or '0') ~= ARGV[1] then return 'stale' end
local done = tonumber(redis.call('HGET', KEYS[4], ARGV[2]) or 0)
if done == tonumber(ARGV[3]) then return 'assigned' end
if done ~= tonumber(ARGV[3]) - 1 then return 'behind' end
redis.call('HSET', KEYS[4], ARGV[2], ARGV[3])
local at = 5
for _ = 1, tonumber(ARGV[4]) do
  local note = ' q' .. ARGV[at + 1]
  for i = 2, 3 do
    local kept = redis.call('HGET', KEYS[i], ARGV[at])
    if kept and not string.find(kept, ' q%d') then redis.call('HSET', KEYS[i], ARGV[at], kept .. note) end
  end
  at = at + 2
end
for _ = 1, tonumber(ARGV[at]) do
  at = at + 1
  redis.call('HDEL', KEYS[5], ARGV[at])
end
for i = at + 1, #ARGV, 3 do
  if ARGV[i + 1] == '1' then redis.call('HSET', KEYS[4], ARGV[i], ARGV[i + 2])
  else redis.call('HDEL', KEYS[4], ARGV[i]) end
end
return 'assigned'
`);

/**
 * Notes the version of the oldest token that a group in flight will have; that of an earlier attempt is forgotten.
 * KEYS pending   ARGV index, version
 * Returns 1, or 0 when the group is not in flight any more.
 */
export const beginGroup = new Script(`
local kept = redis.call('HGET', KEYS[1], ARGV[1])
if not kept then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], string.gsub(kept, ' b%d+', '') .. ' b' .. ARGV[2])
return 1
`);

/**
 * Puts a finished group on the groups stream, once, and what is to be told of it on that of telemetry. Its sessions are over.
 * KEYS records, pending, groups, telemetry, sessions of the group, session keys, keys over, offers
 * ARGV index, payload, cap on the stream's length, note for the group's record, event or '', cap on telemetry
 * Returns accepted, duplicate or full.
 */
export const publishGroup = new Script(`${MOVES}${RETIRE}
if stateOf(ARGV[1]) ~= 'f' then return 'duplicate' end
if redis.call('XLEN', KEYS[3]) >= tonumber(ARGV[3]) then return 'full' end
redis.call('XADD', KEYS[3], '*', 'index', ARGV[1], 'payload', ARGV[2])
move(ARGV[1], 'p', ARGV[4])
redis.call('HDEL', KEYS[2], ARGV[1])
if redis.call('EXISTS', KEYS[5]) == 1 then retire(unpack(KEYS, 5)) end
if ARGV[5] ~= '' then redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[6], '*', 'event', ARGV[5]) end
return 'accepted'
`);

/**
 * Moves a group from the stream to the buffer and acknowledges the entry, unless the group is unknown.
 * KEYS records, ledger, groups, buffer, payloads, signals   ARGV consumer group, entry, index, meta, payload
 * Returns stored, duplicate when the group was stored or given up before (the buffer then holds what it should), or
 * unknown when it was never admitted or is forgotten; the entry is still there then.
 */
export const storeGroup = new Script(`${MOVES}
if stateOf(ARGV[3]) == '' then return 'unknown' end
redis.call('XACK', KEYS[3], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[3], ARGV[2])
if stateOf(ARGV[3]) ~= 'p' then return 'duplicate' end
move(ARGV[3], 'b', '')
redis.call('HSET', KEYS[4], ARGV[3], ARGV[4])
redis.call('HSET', KEYS[5], ARGV[3], ARGV[5])
redis.call('HINCRBY', KEYS[2], 'inFlight', -1)
redis.call('HINCRBY', KEYS[2], 'buffered', 1)
return 'stored'
`);

/**
 * Gives up a group: one in flight whose job failed for good or is too old, or one that is published by what came as its
 * message. Its admission returns, the letter is kept, and its sessions are over.
 * KEYS records, run, dead letters, their order, ledger, pending, groups, signals, rejected, sessions of the group, session
 *   keys, keys over, offers
 * ARGV id of the letter, letter or '' for none, cap on the letters, consumer group, entry or '', index or '', reason,
 *   name of the count of refused messages
 * Returns 1 when a group was given up, else 0; then a letter is kept only of a message that was still there.
 */
export const rejectGroup = new Script(`${MOVES}${LETTERS}${RETIRE}
local entry, index, reason = ARGV[5], ARGV[6], ARGV[7]
local isThere = false
if entry ~= '' then
  redis.call('XACK', KEYS[7], ARGV[4], entry)
  isThere = redis.call('XDEL', KEYS[7], entry) == 1
end
-- The episodes of a group that is published are good whatever happened to its job afterwards.
local isMoved = index ~= '' and stateOf(index) == (entry == '' and 'f' or 'p')
if ARGV[2] ~= '' and (isThere or isMoved) then keep(ARGV[1], ARGV[2], ARGV[3]) end
if isThere then redis.call('HINCRBY', KEYS[9], ARGV[8], 1) end
if not isMoved then return 0 end
move(index, 'd', ' x' .. reason)
redis.call('HDEL', KEYS[6], index)
if redis.call('EXISTS', KEYS[10]) == 1 then retire(unpack(KEYS, 10)) end
redis.call('HINCRBY', KEYS[5], 'inFlight', -1)
redis.call('HINCRBY', KEYS[5], 'discarded:' .. reason, 1)
redis.call('HINCRBY', KEYS[2], 'started', -1)
redis.call('XADD', KEYS[8], 'MAXLEN', '~', 100, '*', 'what', 'discarded')
return 1
`);

/**
 * Discards buffered groups and returns their admission.
 * KEYS records, run, dead letters, their order, ledger, buffer, payloads, signals
 * ARGV reason, cap on the letters, number of groups, index ..., letter ... of each or none at all
 * Returns how many were discarded.
 */
export const discard = new Script(`${MOVES}${LETTERS}
local count = 0
for i = 4, 3 + tonumber(ARGV[3]) do
  if stateOf(ARGV[i]) == 'b' then
    local letter = ARGV[i + tonumber(ARGV[3])]
    if letter then keep('b-' .. ARGV[i], letter, ARGV[2]) end
    move(ARGV[i], 'd', ' x' .. ARGV[1])
    redis.call('HDEL', KEYS[6], ARGV[i])
    redis.call('HDEL', KEYS[7], ARGV[i])
    count = count + 1
  end
end
if count > 0 then
  redis.call('HINCRBY', KEYS[5], 'buffered', -count)
  redis.call('HINCRBY', KEYS[5], 'discarded:' .. ARGV[1], count)
  redis.call('HINCRBY', KEYS[2], 'started', -count)
  redis.call('XADD', KEYS[8], 'MAXLEN', '~', 100, '*', 'what', 'discarded')
end
return count
`);

/**
 * Discards candidates of a step that have nothing to teach, all or none, and returns their admission: others are drawn in
 * their place. Where the run has a curriculum, the step keeps how they went.
 * KEYS records, ledger, run, buffer, payloads, signals, curriculum
 * ARGV step, groups that may be drawn anew for it, index ...
 * Returns how many were discarded; 0 when another step is due, the bound is reached, or one is not buffered.
 */
export const refill = new Script(`${MOVES}${RESULTS}
local h = redis.call('HMGET', KEYS[3], 'nextBatch', 'refilled', 'refillResults')
local count, refilled = #ARGV - 2, tonumber(h[2] or 0)
if h[1] ~= ARGV[1] or refilled + count > tonumber(ARGV[2]) then return 0 end
for i = 3, #ARGV do
  if stateOf(ARGV[i]) ~= 'b' then return 0 end
end
local results = redis.call('EXISTS', KEYS[7]) == 1 and { h[3] or nil }
for i = 3, #ARGV do
  if results then table.insert(results, resultOf(ARGV[i])) end
  move(ARGV[i], 'd', ' xuninformative')
  redis.call('HDEL', KEYS[4], ARGV[i])
  redis.call('HDEL', KEYS[5], ARGV[i])
end
redis.call('HSET', KEYS[3], 'refilled', refilled + count)
if results then redis.call('HSET', KEYS[3], 'refillResults', table.concat(results, '\\n')) end
redis.call('HINCRBY', KEYS[2], 'buffered', -count)
redis.call('HINCRBY', KEYS[2], 'discarded:uninformative', count)
redis.call('HINCRBY', KEYS[3], 'started', -count)
redis.call('XADD', KEYS[6], 'MAXLEN', '~', 100, '*', 'what', 'discarded')
return count
`);

/**
 * Forms the batch of a step: chosen groups are leased, the other candidates discarded without returning admission,
 * since the step that consumes them raises the bound. Where the run has a curriculum, it keeps how the groups went, those
 * that were replaced for the step included, a line for each: position of the sample, mean reward, 1 when it was informative.
 * KEYS records, ledger, run, buffer, payloads, leases, batches, curriculum, results
 * ARGV step, batch, number of chosen groups, chosen index ..., other index ...
 * Returns formed (also when the same call formed it before), or why not: step (another batch is due), count (not as
 * many groups as a batch consumes), state (a group is not buffered, or named twice), stale (invariant S).
 */
export const formBatch = new Script(`${MOVES}${RESULTS}
local h = redis.call('HMGET', KEYS[3], 'nextBatch', 'maxStaleness', 'candidates', 'formCall', 'refillResults')
local step, chosen = tonumber(ARGV[1]), tonumber(ARGV[3])
local call = redis.sha1hex(table.concat(ARGV, ' '))
if tonumber(h[1]) == step + 1 and h[4] == call then return 'formed' end
if tonumber(h[1]) ~= step then return 'step' end
if #ARGV - 3 ~= tonumber(h[3]) then return 'count' end
local named = {}
for i = 4, #ARGV do
  if named[ARGV[i]] or stateOf(ARGV[i]) ~= 'b' then return 'state' end
  named[ARGV[i]] = true
  if i < 4 + chosen and h[2] ~= 'inf' then
    local meta = cjson.decode(redis.call('HGET', KEYS[4], ARGV[i]))
    if step - meta.version > tonumber(h[2]) then return 'stale' end
  end
end
local leased, results = {}, redis.call('EXISTS', KEYS[8]) == 1 and { h[5] or nil }
for i = 4, #ARGV do
  if results then table.insert(results, resultOf(ARGV[i])) end
  redis.call('HDEL', KEYS[4], ARGV[i])
  if i < 4 + chosen then
    move(ARGV[i], 'l', ' s' .. step)
    table.insert(leased, ARGV[i])
  else
    move(ARGV[i], 'd', ' s' .. step .. ' xnot-selected')
    redis.call('HDEL', KEYS[5], ARGV[i])
  end
end
local others = #ARGV - 3 - chosen
redis.call('HINCRBY', KEYS[2], 'buffered', -(chosen + others))
redis.call('HINCRBY', KEYS[2], 'leased', chosen)
if others > 0 then redis.call('HINCRBY', KEYS[2], 'discarded:not-selected', others) end
if results then redis.call('HSET', KEYS[9], step, table.concat(results, '\\n')) end
local entry = redis.call('XADD', KEYS[7], '*', 'batch', ARGV[2])
redis.call('HSET', KEYS[6], step, cjson.encode({ entry = entry, indices = leased, maxStaleness = h[2] }))
redis.call('HSET', KEYS[3], 'nextBatch', step + 1, 'formCall', call)
redis.call('HDEL', KEYS[3], 'refilled', 'refillResults')
return 'formed'
`);

/**
 * Ends an optimizer step: its groups are trained, the new version is current, announced and entered in `versions` with
 * what it was made of and where the run stands in its prompts; its metrics are told. Where the new version has the weights of an earlier one instead, its groups are discarded without
 * returning admission, since the step that consumed them raises the bound; that it was asked for is over then.
 * KEYS records, ledger, run, payloads, leases, batches, weights, signals, versions, weights requests, telemetry
 * ARGV consumer group, step, epoch, announcement, hash of the weights, version it went back to or '', 1 when it was
 *   asked to, event with its metrics, cap on telemetry
 * Returns committed, duplicate (this step is committed already by this epoch), or stale (another trainer took over,
 * or another step is due).
 */
export const commitStep = new Script(`${MOVES}
local h = redis.call('HMGET', KEYS[3], 'version', 'epoch', 'candidates', 'nextIndex', 'started')
local version, step = tonumber(h[1]), tonumber(ARGV[2])
if h[2] ~= ARGV[3] then return 'stale' end
if version == step + 1 then return 'duplicate' end
local stored = redis.call('HGET', KEYS[5], step)
if version ~= step or not stored then return 'stale' end
local lease = cjson.decode(stored)
local isTrained = ARGV[6] == ''
for _, index in ipairs(lease.indices) do
  move(index, isTrained and 't' or 'd', isTrained and '' or ' xrolled-back')
  redis.call('HDEL', KEYS[4], index)
end
redis.call('HINCRBY', KEYS[2], 'leased', -#lease.indices)
redis.call('HINCRBY', KEYS[2], isTrained and 'trained' or 'discarded:rolled-back', #lease.indices)
if isTrained then
  redis.call('HDEL', KEYS[3], 'rollbacksInARow')
elseif ARGV[7] ~= '1' then
  redis.call('HINCRBY', KEYS[3], 'rollbacksInARow', 1)
elseif redis.call('HGET', KEYS[10], 'rollback') == ARGV[6] then
  redis.call('HDEL', KEYS[10], 'rollback')
end
redis.call('HDEL', KEYS[5], step)
redis.call('XACK', KEYS[6], ARGV[1], lease.entry)
redis.call('XDEL', KEYS[6], lease.entry)
redis.call('HSET', KEYS[3], 'version', step + 1)
redis.call('HSET', KEYS[9], step + 1, cjson.encode({
  weightsHash = ARGV[5], epoch = tonumber(ARGV[3]), groups = lease.indices, maxStaleness = lease.maxStaleness,
  rolledBackTo = tonumber(ARGV[6]),
  nextIndex = (step + 1) * tonumber(h[3]) + tonumber(h[4]) - tonumber(h[5]),
  trained = tonumber(redis.call('HGET', KEYS[2], 'trained')) }))
redis.call('XADD', KEYS[7], 'MAXLEN', '~', 16, '*', 'announcement', ARGV[4])
redis.call('XADD', KEYS[8], 'MAXLEN', '~', 100, '*', 'what', 'committed')
redis.call('XADD', KEYS[11], 'MAXLEN', '~', ARGV[9], '*', 'event', ARGV[8])
return 'committed'
`);

/**
 * Announces the weights a trainer starts from. Those that no step of this state made are entered in `versions`.
 * KEYS run, weights, signals, versions   ARGV epoch, version, announcement, hash of the weights
 * Returns announced or stale.
 */
export const announceWeights = new Script(`
local h = redis.call('HMGET', KEYS[1], 'version', 'epoch')
if h[2] ~= ARGV[1] or h[1] ~= ARGV[2] then return 'stale' end
if ARGV[2] == '0' or redis.call('HEXISTS', KEYS[4], ARGV[2]) == 0 then
  redis.call('HSET', KEYS[4], ARGV[2], cjson.encode({ weightsHash = ARGV[4], epoch = tonumber(ARGV[1]) }))
end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', 16, '*', 'announcement', ARGV[3])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 100, '*', 'what', 'announced')
return 'announced'
`);
