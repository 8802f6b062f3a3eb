import { serveActor, thisProc } from '@forge/actors';
import { WeightsShelf } from './weights-shelf';

/** A process that gives the blobs of a directory, and tells its parent where. */
async function main(): Promise<void> {
  const options = { dir: process.argv[2]!, onReaders: () => undefined, clock: () => performance.now() };
  const { address, actor } = await serveActor(
    await thisProc().spawn('weights', WeightsShelf, options),
    'unix',
  );
  process.send?.({ address, actor });
}

process.once('disconnect', () => process.exit());
void main();
