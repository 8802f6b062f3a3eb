/** A model or data set of the hub, as a recipe names it. */
export interface HubName {
  /** `org/name`. */
  name: string;
  /** Branch, tag or commit behind an `@`; null without one. */
  revision: string | null;
}

const PART = String.raw`[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9_])?`;
const NAME = new RegExp(String.raw`^(${PART}/${PART})(?:@([\w.-]+(?:/[\w.-]+)*))?$`);
const COMMIT = /^[0-9a-f]{40}$/;

/** `org/name` or `org/name@revision` in parts; null for any other text, such as a path with more or fewer slashes. */
export function parseHubName(text: string): HubName | null {
  const [, name, revision = null] = NAME.exec(text) ?? [];
  // Two dashes stand for the slash in the cache.
  if (name === undefined || /--|\.\./.test(name) || revision?.includes('..')) return null;
  return { name, revision };
}

/** Whether a revision is a commit, which always means the same bytes. */
export function isCommit(revision: string | null): revision is string {
  return revision !== null && COMMIT.test(revision);
}
