const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];
const DAY_MS = 86_400_000;

/**
 * The start of the day `date` (YYYY-MM-DD) as Python's `strftime` writes it, with English names on any machine.
 *
 * @throws {Error} naming a directive that we do not have.
 */
export function strftime(date: string, format: string): string {
  const at = new Date(`${date}T00:00:00Z`);
  const [year, month, day] = [at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate()];
  const dayOfYear = (at.getTime() - Date.UTC(year, 0, 1)) / DAY_MS + 1;
  const two = (value: number): string => String(value).padStart(2, '0');
  const [weekday, monthName] = [DAYS[at.getUTCDay()]!, MONTHS[month]!];
  const written: Readonly<Record<string, string>> = {
    a: weekday.slice(0, 3),
    A: weekday,
    b: monthName.slice(0, 3),
    B: monthName,
    d: two(day),
    '-d': String(day),
    D: `${two(month + 1)}/${two(day)}/${two(year % 100)}`,
    e: String(day).padStart(2, ' '),
    F: date,
    h: monthName.slice(0, 3),
    H: '00',
    I: '12',
    j: String(dayOfYear).padStart(3, '0'),
    m: two(month + 1),
    '-m': String(month + 1),
    M: '00',
    p: 'AM',
    S: '00',
    T: '00:00:00',
    u: String(at.getUTCDay() === 0 ? 7 : at.getUTCDay()),
    w: String(at.getUTCDay()),
    y: two(year % 100),
    Y: String(year),
    '%': '%',
  };
  return format.replace(/%(-?.)/gsu, (whole, directive: string) => {
    const value = written[directive];
    if (value === undefined) throw new Error(`strftime_now with ${whole}, which is not supported`);
    return value;
  });
}
