// Exits with 0 when the service of this container is alive.
const port = process.env.FORGE_HTTP_PORT ?? '8080';
const answer = await fetch(`http://127.0.0.1:${port}/healthz`, { signal: AbortSignal.timeout(4000) }).catch(
  (error) => ({ ok: false, statusText: String(error.cause ?? error) }),
);
if (!answer.ok) console.log(answer.statusText);
process.exit(answer.ok ? 0 : 1);
