// A host that has a version, or fetches it: argv is the run, the name of the replica, and a directory; for `trainer/0` the directory
// has the blob. It says what its parent sends it to fetch when it has it, and a trainer how many hosts it has sent it to.
const { serveActor } = require('@forge/actors');
const { connectRedis, Registry, RunState } = require('@forge/broker');
const { cliEnvironment, serviceEnvironment } = require('@forge/config');
const { WeightsOffer } = require('@forge/rl-actors');
const { hostWeights } = require('../../services/policy/dist/handlers/host-weights.js');

async function main([runId, name, dir]) {
  const redis = await connectRedis(cliEnvironment().redisUrl, { name, giveUpAfterMs: 10_000 });
  const { callAddress, host } = serviceEnvironment();
  const runState = new RunState(redis, runId);
  const serve = async (actor) => {
    const served = await serveActor(actor, callAddress);
    return { actor: served.actor, address: served.address.replace('0.0.0.0', host) };
  };
  const fail = (error) => {
    throw error;
  };
  if (name === 'trainer/0') {
    let [readers, sent] = [0, 0];
    const tell = async (offered) => {
      if (offered.readers > readers) process.send({ sent: (sent += offered.readers - readers) });
      readers = offered.readers;
      await runState.weightSources.offer(name, offered);
    };
    const offer = await WeightsOffer.open({ dir, serve, tell, withdraw: () => {}, onFailed: fail });
    await offer.hold(null);
  } else {
    const { weights } = await hostWeights({
      ...{ recipe: { output: { dir } }, runId, replica: name.split('/')[1], isReachable: true },
      ...{ runState, registry: new Registry(redis, runId), logger: { info: () => {} }, serve, fail },
    });
    process.on('message', async (announcement) => {
      await weights.use(announcement, () => Promise.resolve());
      process.send({ isFetched: true });
    });
  }
  process.send({ isReady: true });
}

process.once('disconnect', () => process.exit());
void main(process.argv.slice(2));
