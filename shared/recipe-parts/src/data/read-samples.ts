import { linesOf, readText } from '@forge/config';
import { ForgeError } from '@forge/errors';
import type { SampleLine } from '@forge/rl';

/**
 * The samples of a file, each in the place of its line or row: Parquet by `.parquet`, CSV with a header by `.csv` and
 * `.tsv`, else one JSON object a line. `fields` are those that are looked at: of a Parquet file no other columns are read.
 *
 * @throws {ForgeError} CONFIG_FILE_UNREADABLE; CONFIG_DATASET_INVALID naming file, and line where there is one.
 */
export async function readSamples(path: string, fields: readonly string[]): Promise<readonly SampleLine[]> {
  if (path.endsWith('.parquet')) return readParquet(path, fields);
  const text = readText(path, { code: 'CONFIG_DATASET_INVALID' });
  if (path.endsWith('.csv')) return parseCsv(path, text, ',');
  if (path.endsWith('.tsv')) return parseCsv(path, text, '\t');
  return linesOf(text);
}

async function readParquet(path: string, fields: readonly string[]): Promise<readonly SampleLine[]> {
  const [{ asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects }, { compressors }] =
    await Promise.all([import('hyparquet'), import('hyparquet-compressors')]);
  try {
    const file = await asyncBufferFromFile(path);
    const metadata = await parquetMetadataAsync(file);
    const columns = columnsOf(metadata.schema, fields);
    const rows = await parquetReadObjects({ file, metadata, compressors, ...(columns && { columns }) });
    return rows.map((row) => plain(row) as Record<string, unknown>);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    const code = isMissing ? 'CONFIG_FILE_UNREADABLE' : 'CONFIG_DATASET_INVALID';
    throw new ForgeError(code, `${path}: found ${reason}, expected a Parquet file`, { path }, { cause });
  }
}

/** The columns that hold the fields; undefined for all, where one is missing and those there are will be named. */
function columnsOf(schema: readonly { name: string }[], fields: readonly string[]): string[] | undefined {
  const names = new Set(schema.map(({ name }) => name));
  const columns = fields.map((field) => (names.has(field) ? field : field.split('.')[0]!));
  return columns.every((column) => names.has(column)) ? [...new Set(columns)] : undefined;
}

/** A value of a table as JSON has it; whole numbers that JSON would round are texts. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(plain);
  if (ArrayBuffer.isView(value) || typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]));
}

async function parseCsv(path: string, text: string, delimiter: string): Promise<readonly SampleLine[]> {
  const { parse } = await import('csv-parse/sync');
  try {
    const rows = parse(text, { columns: true, delimiter, info: true, skip_empty_lines: true }) as unknown as {
      record: Record<string, string>;
      info: { lines: number };
    }[];
    const lines: SampleLine[] = [];
    for (const { record, info } of rows) {
      while (lines.length < info.lines - 1) lines.push('');
      lines[info.lines - 1] = record;
    }
    return lines;
  } catch (cause) {
    const { message, lines: line } = cause as { message: string; lines?: number };
    const where = line === undefined ? path : `${path}:${line}`;
    throw new ForgeError(
      'CONFIG_DATASET_INVALID',
      `${where}: found ${message}, expected CSV with a header`,
      { path },
      { cause },
    );
  }
}
