#!/bin/sh
# The first argument names a service, which then is this process, or is a command of forge: policy, create, ledger RUN.
set -eu
main="/app/services/${1:-}/dist/main.bundle/start.js"
if [ "${1:-}" != cli ] && [ -n "${1:-}" ] && [ -f "$main" ]; then
  # As the supervisor of forge run starts it (services/cli/src/running/supervisor.ts).
  exec node --max-semi-space-size=16 "$main"
fi
if [ "${1:-}" = secrets ]; then
  exec node /app/infra/docker/make-secrets.mjs
fi
exec node /app/services/cli/bin/forge.cjs "$@"
