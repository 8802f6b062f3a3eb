// npm run test:chart: renders the Helm chart and checks what comes out against the schemas of Kubernetes. helm comes
// from the PATH or is built by go, kubernetes-validate from the PATH or is installed by python3's pip; where neither
// can be had it says so and skips. The last line is "N passed, N failed, N skipped".
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { root } from './prepare.mjs';

const HELM = 'helm.sh/helm/v3/cmd/helm@v3.19.5';
const VALIDATE = 'kubernetes-validate==1.37.0';
const VERSIONS = ['1.29.0', '1.34.0', '1.37.0'];
const EVERYTHING = [
  'image.pullSecrets={registry}',
  'run.overrides={maxStaleness=0,seed=2}',
  'storage.models.existingClaim=models',
  'storage.hub.existingClaim=hub',
  'hub.enabled=true',
  'hub.endpoint=https://mirror:8443',
  'networkPolicy.hubPort=8443',
  'otlpEndpoint=http://otel:4318',
  'policy.autoscaling.enabled=true',
  'policy.gpus=1',
  'policy.nodeSelector.pool=gpu',
  'policy.tolerations[0].operator=Exists',
  'reward.autoscaling.enabled=true',
  'reference.replicas=1',
  'gateway.replicas=2',
  'networkPolicy.agentNamespaceLabels.team=agents',
  'trainer.gpus=2',
  'networkPolicy.monitoringNamespaceLabels.team=ops',
  'networkPolicy.dashboardNamespaceLabels.team=ml',
];
/** Values that the chart must refuse, and what it must name. */
const REFUSED = [
  [['policy.replica=2'], 'replica'],
  [['run.id=../up'], '/run/id'],
  [['run.overrides={seed}'], '/run/overrides'],
  [['trainer.replicas=2'], 'replicas'],
  [['otlpEndpoint=otel:4318'], '/otlpEndpoint'],
  [['dashboard.gpus=1'], 'gpus'],
];

const chart = join(root, 'infra', 'k8s');
const tools = join(root, '.forge', 'tools');
const say = (text) => process.stderr.write(`test:chart: ${text}\n`);
const run = (command, args, options = {}) => spawnSync(command, args, { encoding: 'utf8', ...options });

/** The command, built or installed where it is missing; null where that can't be done. */
function tool(name, at, install) {
  if (run(name, ['version']).status === 0 || run(name, ['--version']).status === 0) return name;
  if (existsSync(at)) return at;
  mkdirSync(tools, { recursive: true });
  say(`${name} is not here; installing it into .forge/tools ...`);
  const failed = install().find(({ status }) => status !== 0);
  if (failed === undefined) return at;
  say(`${name}: ${failed.error?.message ?? failed.stderr}`);
  return null;
}

const helm = tool('helm', join(tools, 'helm'), () => [
  run('go', ['install', HELM], { env: { ...process.env, GOBIN: tools } }),
]);
const venv = join(tools, 'python');
const validate = tool('kubernetes-validate', join(venv, 'bin', 'kubernetes-validate'), () => [
  run('python3', ['-m', 'venv', venv]),
  run(join(venv, 'bin', 'pip'), ['install', '--quiet', VALIDATE]),
]);

let passed = 0;
let failed = 0;
function check(what, problem) {
  if (problem === null) passed += 1;
  else {
    failed += 1;
    say(`failed: ${what}: ${problem}`);
  }
}

const set = (values) => values.flatMap((value) => ['--set', value]);
const render = (values, version = VERSIONS[0]) =>
  run(helm, ['template', 'forge', chart, '--kube-version', version, ...set(values)]);
const documents = (text) =>
  parseAllDocuments(text)
    .map((document) => document.toJS())
    .filter((document) => document !== null);

/** Problem of objects of KEDA, whose schemas are not those of Kubernetes. */
function kedaProblem(objects) {
  const names = new Set(objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`));
  const scaled = objects.filter(({ kind }) => kind === 'ScaledObject');
  if (scaled.length !== 2) return `${scaled.length} ScaledObjects`;
  for (const { spec } of scaled) {
    const [trigger] = spec.triggers;
    if (!names.has(`Deployment/${spec.scaleTargetRef.name}`))
      return `no Deployment ${spec.scaleTargetRef.name}`;
    if (!names.has(`TriggerAuthentication/${trigger.authenticationRef.name}`))
      return 'no TriggerAuthentication';
    // The list BullMQ keeps waiting jobs in, as shared/broker/src/keys.ts names it.
    if (trigger.metadata.listName !== 'forge:{first}:rollout:wait')
      return `list ${trigger.metadata.listName}`;
    if (Object.values(trigger.metadata).some((value) => typeof value !== 'string'))
      return 'metadata of a trigger must be strings';
  }
  return null;
}

if (helm === null || validate === null) {
  say(`skipped: ${helm === null ? 'helm' : 'kubernetes-validate'} can't be had here`);
} else {
  const lint = run(helm, ['lint', '--strict', chart]);
  check('helm lint', lint.status === 0 ? null : lint.stdout + lint.stderr);
  for (const [name, values] of [
    ['defaults', []],
    ['everything', EVERYTHING],
  ]) {
    for (const version of VERSIONS) {
      const { status, stdout, stderr } = render(values, version);
      const args = ['--strict', '--no-warn', '--quiet', '-k', version, '-'];
      const result = status === 0 ? run(validate, args, { input: stdout }) : { status, stdout: '', stderr };
      const problem = result.status === 0 ? null : result.stdout + result.stderr;
      check(`${name} against Kubernetes ${version}`, problem);
    }
  }
  check('autoscaling', kedaProblem(documents(render(EVERYTHING).stdout)));
  for (const [values, named] of REFUSED) {
    const { status, stderr } = render(values);
    check(`refuses ${values}`, status !== 0 && stderr.includes(named) ? null : `exit ${status} ${stderr}`);
  }
}
console.log(`${passed} passed, ${failed} failed, ${passed + failed === 0 ? 1 : 0} skipped`);
process.exit(failed === 0 ? 0 : 1);
