// Loaded into every service of a run: takes ledger, deduplication and fences out of what the run does in Redis. What is
// left moves groups, batches and versions, and bounds admission; a process that dies loses or doubles work.
const { join } = require('node:path');

const broker = join(__dirname, '../../shared/broker/dist');
const { Script } = require(join(broker, 'script.js'));
const scripts = require(join(broker, 'scripts.js'));
const { RunState } = require(join(broker, 'run-state.js'));
const { WeightVersions } = require(join(broker, 'weight-versions.js'));

scripts.admit = new Script(`
local run = KEYS[1]
local h = redis.call('HMGET', run, 'state', 'version', 'maxStaleness', 'candidates', 'steps', 'started', 'nextIndex')
if h[1] ~= 'running' then return {} end
local candidates, steps, started, nextIndex = tonumber(h[4]), tonumber(h[5]), tonumber(h[6]), tonumber(h[7])
local bound = math.min(steps, tonumber(h[2]) + tonumber(h[3]) + 1) * candidates
local admitted = {}
while started < bound and #admitted / 3 < tonumber(ARGV[1]) do
  local minVersion = math.max(0, math.floor(started / candidates) - tonumber(h[3]))
  for _, value in ipairs({ nextIndex, minVersion, '' }) do table.insert(admitted, value) end
  started = started + 1
  nextIndex = nextIndex + 1
end
if #admitted > 0 then redis.call('HSET', run, 'started', started, 'nextIndex', nextIndex) end
return admitted
`);
scripts.publishGroup = new Script(`
redis.call('XADD', KEYS[3], '*', 'index', ARGV[1], 'payload', ARGV[2])
return 'accepted'
`);
scripts.storeGroup = new Script(`
redis.call('XACK', KEYS[3], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[3], ARGV[2])
redis.call('HSET', KEYS[4], ARGV[3], ARGV[4])
redis.call('HSET', KEYS[5], ARGV[3], ARGV[5])
return 'stored'
`);
scripts.formBatch = new Script(`
local step, chosen, leased = tonumber(ARGV[1]), tonumber(ARGV[3]), {}
for i = 4, #ARGV do
  redis.call('HDEL', KEYS[4], ARGV[i])
  if i < 4 + chosen then table.insert(leased, ARGV[i]) else redis.call('HDEL', KEYS[5], ARGV[i]) end
end
local entry = redis.call('XADD', KEYS[7], '*', 'batch', ARGV[2])
redis.call('HSET', KEYS[6], step, cjson.encode({ entry = entry, indices = leased, maxStaleness = redis.call('HGET', KEYS[3], 'maxStaleness') }))
redis.call('HSET', KEYS[3], 'nextBatch', step + 1)
return 'formed'
`);
scripts.commitStep = new Script(`
local step = tonumber(ARGV[2])
local lease = cjson.decode(redis.call('HGET', KEYS[5], step))
for _, index in ipairs(lease.indices) do redis.call('HDEL', KEYS[4], index) end
redis.call('HDEL', KEYS[5], step)
redis.call('XACK', KEYS[6], ARGV[1], lease.entry)
redis.call('XDEL', KEYS[6], lease.entry)
redis.call('HSET', KEYS[3], 'version', step + 1)
redis.call('XADD', KEYS[7], 'MAXLEN', '~', 16, '*', 'announcement', ARGV[4])
redis.call('XADD', KEYS[8], 'MAXLEN', '~', 100, '*', 'what', 'committed')
return 'committed'
`);
RunState.prototype.standing = () => Promise.resolve('due');
RunState.prototype.checkCoordinator = () => Promise.resolve();
WeightVersions.prototype.disagreement = () => Promise.resolve(null);
WeightVersions.prototype.checkAnnounced = () => Promise.resolve();
