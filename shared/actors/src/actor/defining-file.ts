/**
 * The file of the code that called `callee`: a path or a file: URL, as the loader named it; null when it can't be
 * told. Taken from the call sites themselves, since a source map rewrites a printed stack.
 */
export function definingFile(callee: (...args: never[]) => unknown): string | null {
  const { prepareStackTrace, stackTraceLimit } = Error;
  let file: string | null = null;
  Error.stackTraceLimit = 1;
  Error.prepareStackTrace = (_error, sites) => {
    const name = sites[0]?.getFileName();
    if (name != null) file = name.replace(/\?.*$/, '');
    return '';
  };
  try {
    const holder: { stack?: string } = {};
    Error.captureStackTrace(holder, callee);
    void holder.stack;
  } finally {
    Error.prepareStackTrace = prepareStackTrace;
    Error.stackTraceLimit = stackTraceLimit;
  }
  return file;
}
