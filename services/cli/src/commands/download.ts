import { modelFolder } from '@forge/model';
import { datasetFolder } from '@forge/recipe-parts';
import { withDownloads } from '../with-downloads';

export interface DownloadOptions {
  dataset?: boolean;
}

/** `forge download NAME`: brings a model of the hub, or a data set, into its cache, and prints the folder. */
export async function download(name: string, { dataset = false }: DownloadOptions): Promise<number> {
  const { dir, pinned } = await withDownloads(
    async (watch) => {
      if (!dataset) {
        const { dir, model } = await modelFolder(name, watch, { mayBePath: false });
        return { dir, pinned: model };
      }
      const folder = await datasetFolder(name, watch);
      return { dir: folder.dir, pinned: folder.dataset };
    },
    { isAsked: true },
  );
  process.stderr.write(`forge: ${pinned}\n`);
  process.stdout.write(`${dir}\n`);
  return 0;
}
