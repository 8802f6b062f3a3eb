/** Stands for a number that is not known. */
export const NONE = '–';
const THIN = '\u202f';

/** Three significant digits; thousands apart. */
export function formatNumber(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return NONE;
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞';
  const size = Math.abs(value);
  if (size !== 0 && size < 1e-3) return signed(value.toExponential(1).replace('e-', 'e−'));
  if (Number.isInteger(value) || size >= 1000) return formatCount(value);
  return signed(String(Number(value.toPrecision(3))));
}

/** A whole number with its thousands apart. */
export function formatCount(value: number | null | undefined): string {
  if (value === null || value === undefined) return NONE;
  return signed(String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, THIN));
}

/** A share as `62 %`, with one digit near its ends; a little is not nothing. */
export function formatShare(share: number | null | undefined): string {
  if (share === null || share === undefined) return NONE;
  const percent = 100 * share;
  if (percent > 0 && percent < 0.05) return `<${THIN}0.1${THIN}%`;
  const isNearEnd = Math.abs(percent) < 9.95 || (percent > 99 && percent < 99.95);
  const digits = percent !== 0 && isNearEnd ? 1 : 0;
  return `${signed(percent.toFixed(digits).replace(/^-?0\.0$/, '0'))}${THIN}%`;
}

/** The change of a share in percentage points: `+45 pp`. */
export function formatShareChange(change: number): string {
  const points = Number((100 * change).toFixed(Math.abs(change) < 0.0995 ? 1 : 0));
  return `${points > 0 ? '+' : ''}${signed(String(points))}${THIN}pp`;
}

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** The largest unit of which so many bytes are one or more. */
export function byteUnit(bytes: number): { name: string; bytes: number } {
  const power = bytes < 1 ? 0 : Math.min(BYTE_UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  return { name: BYTE_UNITS[power]!, bytes: 1024 ** power };
}

/** Bytes in the unit that suits them, or suits `like` so many. */
export function formatBytes(bytes: number | null | undefined, like = bytes ?? 0): string {
  if (bytes === null || bytes === undefined) return NONE;
  const unit = byteUnit(like);
  return `${formatNumber(Number((bytes / unit.bytes).toPrecision(3)))}${THIN}${unit.name}`;
}

/** `850 ms`, `12.3 s`, `4 min 05 s`, `2 h 10 min`. */
export function formatDuration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return NONE;
  if (ms < 1) return `${formatNumber(Number(ms.toFixed(2)))}${THIN}ms`;
  if (ms < 999.5) return `${Math.round(ms)}${THIN}ms`;
  const seconds = ms / 1000;
  if (seconds < 59.95) return `${seconds.toFixed(seconds < 9.95 ? 2 : 1)}${THIN}s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  if (minutes < 60) return `${minutes}${THIN}min ${two(Math.round(seconds) % 60)}${THIN}s`;
  const hours = Math.floor(Math.round(seconds / 60) / 60);
  return `${hours}${THIN}h ${two(Math.round(seconds / 60) % 60)}${THIN}min`;
}

/** A rate per second. */
export function formatRate(perSecond: number | null | undefined): string {
  return perSecond === null || perSecond === undefined ? NONE : `${formatNumber(perSecond)}${THIN}/s`;
}

/** A value in the unit of its metric. */
export function formatValue(value: number | null | undefined, unit: string): string {
  if (value === null || value === undefined) return NONE;
  if (unit === 'share') return formatShare(value);
  if (unit === 'bytes') return formatBytes(value);
  if (unit === 'ms') return formatDuration(value);
  if (unit === 's') return formatDuration(value * 1000);
  const one = Math.abs(value) === 1 && !unit.includes('/') ? unit.replace(/s$/, '') : unit;
  return unit === '' ? formatNumber(value) : `${formatNumber(value)}${THIN}${one}`;
}

/** The tick of an axis, which says its unit elsewhere where that takes room. */
export function formatTick(value: number, unit: string): string {
  if (unit === 'share') return `${formatNumber(Number((100 * value).toPrecision(6)))}${THIN}%`;
  if (unit !== 'ms' && unit !== 's') return formatNumber(value);
  const ms = unit === 's' ? 1000 * value : value;
  if (ms === 0) return '0';
  return ms < 1000 ? `${formatNumber(ms)}${THIN}ms` : `${formatNumber(ms / 1000)}${THIN}s`;
}

/** Date and time of here, to the minute. */
export function formatTime(iso: string): string {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return NONE;
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

const two = (value: number): string => String(value).padStart(2, '0');
const signed = (text: string): string => text.replace(/^-/, '−');
