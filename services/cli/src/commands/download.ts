import { modelFolder } from '@forge/model';
import { withDownloads } from '../with-downloads';

/** `forge download MODEL`: brings a model of the hub into its cache, and prints the folder. */
export async function download(name: string): Promise<number> {
  const { dir, model } = await withDownloads((watch) => modelFolder(name, watch), { isAsked: true });
  process.stderr.write(`forge: ${model}\n`);
  process.stdout.write(`${dir}\n`);
  return 0;
}
