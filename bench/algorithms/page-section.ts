/** A page of documentation with a section in place of the one of the same heading, or before the last. */
export function withSection(page: string, section: string): string {
  const heading = `${section.split('\n')[0]!}\n`;
  const parts = page.split(/^(?=## )/m);
  const at = parts.findIndex((part) => part.startsWith(heading));
  const [before, after] =
    at < 0 ? [parts.slice(0, -1), parts.slice(-1)] : [parts.slice(0, at), parts.slice(at + 1)];
  return [...before, `${section}\n`, ...after].join('');
}
