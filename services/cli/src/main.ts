import { ForgeError } from '@forge/errors';
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import type { agent } from './commands/agent';
import type { ConformanceOptions, Role } from './commands/conformance';
import type { ControlOptions } from './commands/control';
import type { create } from './commands/create';
import type { dashboard } from './commands/dashboard';
import type { DeadLetterOptions } from './commands/dead-letter';
import type { DownloadOptions } from './commands/download';
import type { EngineCommandOptions, installEngine } from './commands/engine';
import type { evaluate } from './commands/evaluate';
import type { generate } from './commands/generate';
import type { ledger } from './commands/ledger';
import type { merge } from './commands/merge';
import type { PlanOptions } from './commands/plan';
import type { ReplayCommandOptions } from './commands/replay';
import type { resume } from './commands/resume';
import type { RunOptions } from './commands/run';
import type { runs } from './commands/runs';
import type { ServeOptions } from './commands/serve';
import type { StatusOptions } from './commands/status';
import type { trace } from './commands/trace';
import type { rollBackWeights, WeightsOptions } from './commands/weights';

/** The user has to change something: recipe, file, option. */
const USAGE_ERROR = 2;
/** The user ended it by Ctrl-C. */
const INTERRUPTED = 130;
/** Where an agent listens unless it is told otherwise. */
const AGENT = 'tcp://0.0.0.0:7600';

const number = (text: string): number => {
  const value = Number(text);
  if (text.trim() === '' || Number.isNaN(value)) throw new InvalidArgumentError('expected a number');
  return value;
};

const port = (text: string): number => {
  const value = number(text);
  if (Number.isInteger(value) && value >= 0 && value <= 65_535) return value;
  throw new InvalidArgumentError('expected a port from 0 to 65535');
};

function exitWith(code: Promise<number> | number): Promise<void> {
  return Promise.resolve(code).then(
    (value) => {
      process.exit(value);
    },
    (error: unknown) => {
      const { code: errorCode, message, retryClass, cause } = ForgeError.from(error);
      process.stderr.write(`forge: ${message} [${errorCode}]\n`);
      if (retryClass === 'bug')
        process.stderr.write(`${(cause instanceof Error ? cause : (error as Error)).stack ?? ''}\n`);
      if (errorCode === 'CANCELLED') process.exit(INTERRUPTED);
      process.exit(retryClass === 'fatal' ? USAGE_ERROR : 1);
    },
  );
}

// A command is loaded when it is asked for: most need little of what the others load.
const program = new Command('forge').description(
  'Reinforcement-learning post-training as message-queue microservices.',
);
const recipeArguments = (command: Command): Command =>
  command
    .argument('<recipe>', 'name of a recipe, or path of a YAML file')
    .argument('[overrides...]', 'key=value, e.g. maxStaleness=0 trainer.learningRate=3e-4');
const outputDir = ['--dir <dir>', 'output directory of the runs', 'runs'] as const;
const dashboardOption = [
  '--dashboard',
  'show it on a page as well; on a terminal that stays until Ctrl-C',
] as const;

recipeArguments(program.command('run').description('run a recipe of reinforcement learning'))
  .option('--record', 'keep what is trained, for forge replay; the same as output.record=true')
  .option('--force', 'start it even if it takes more memory than there is')
  .option(...dashboardOption)
  .option('--no-dashboard', 'show it on the terminal only (default)')
  .action((recipe: string, overrides: string[], options: RunOptions) =>
    exitWith(import('./commands/run.js').then(({ run }) => run(recipe, overrides, options))),
  );
recipeArguments(program.command('plan').description('what a run takes of this machine, before it starts'))
  .option('--json', 'one JSON object')
  .action((recipe: string, overrides: string[], options: PlanOptions) =>
    exitWith(import('./commands/plan.js').then(({ plan }) => plan(recipe, overrides, options))),
  );
program
  .command('resume')
  .description('go on with a run that was interrupted, failed or killed')
  .argument('<run>', 'its id')
  .argument('[overrides...]', 'key=value, of what may change: steps, stopAtAccuracy, replicas, limits, ...')
  .option(...outputDir)
  .option('--from <step>', 'go back to the checkpoint of this step', number)
  .option('--force', 'go on even if it takes more memory than there is')
  .option(...dashboardOption)
  .action((id: string, overrides: string[], options: Parameters<typeof resume>[1]) =>
    exitWith(import('./commands/resume.js').then(({ resume }) => resume(id, options, overrides))),
  );
program
  .command('replay')
  .description('train again what a recorded run has trained, and compare the weights of each step')
  .argument('<run>', 'running, or over')
  .option(...outputDir)
  .option('--to <step>', 'the step to end at', number)
  .option('--model <dir>', 'the base model, where it is not where it was')
  .option('--json', 'one JSON object')
  .action((id: string, options: ReplayCommandOptions) =>
    exitWith(import('./commands/replay.js').then(({ replayRun }) => replayRun(id, options))),
  );
program
  .command('create')
  .description('make a run for services that others start, unless it is there already')
  .argument('[recipe]', 'as for run (default: FORGE_RECIPE, with FORGE_OVERRIDES)')
  .argument('[overrides...]', 'key=value')
  .option('--id <id>', 'id of the run (default: FORGE_RUN_ID, or a new one)')
  .option('--force', 'make it even if it takes more memory than there is')
  .action((recipe: string | undefined, overrides: string[], options: Parameters<typeof create>[2]) =>
    exitWith(import('./commands/create.js').then(({ create }) => create(recipe, overrides, options))),
  );
recipeArguments(program.command('sft').description('train a new model by imitation')).action(
  (recipe: string, overrides: string[]) =>
    exitWith(import('./commands/sft.js').then(({ sft }) => sft(recipe, overrides))),
);
program
  .command('eval')
  .description('greedy accuracy of a model on the held-out samples of a recipe')
  .argument('<model>', 'directory of a model, or its name on the hub')
  .argument('[overrides...]', 'key=value, changes to the recipe')
  .requiredOption('--task <recipe>', 'the recipe whose task, rewards and lengths count')
  .option('--samples <n>', 'held-out samples', number)
  .option('--json', 'one JSON object')
  .action((model: string, overrides: string[], options: Parameters<typeof evaluate>[1]) =>
    exitWith(import('./commands/evaluate.js').then(({ evaluate }) => evaluate(model, options, overrides))),
  );
program
  .command('download')
  .description('bring a model of the Hugging Face hub into its cache, and print the folder')
  .argument('<name>', 'org/name, or org/name@revision')
  .option('--dataset', 'a data set: all its Parquet, JSONL and CSV files')
  .action((name: string, options: DownloadOptions) =>
    exitWith(import('./commands/download.js').then(({ download }) => download(name, options))),
  );
program
  .command('generate')
  .description('complete a prompt')
  .argument('<model>', 'directory of a model, or its name on the hub')
  .argument('<prompt>', 'the text to continue')
  .option('--greedy', 'always the likeliest token')
  .option('--temperature <t>', 'sampling temperature', number, 1)
  .option('--max-tokens <n>', 'tokens at most', number, 64)
  .option('--seed <n>', 'seed of the sampling', number, 0)
  .option('--chat', "send the prompt as a user message through the model's chat template")
  .option('--json', 'one JSON object with token ids and log-probs')
  .action((model: string, prompt: string, options: Parameters<typeof generate>[2]) =>
    exitWith(import('./commands/generate.js').then(({ generate }) => generate(model, prompt, options))),
  );
program
  .command('serve')
  .description("serve a model to clients of OpenAI's and Anthropic's APIs, until Ctrl-C")
  .argument('<model>', 'directory of a model, or its name on the hub')
  .option('--host <host>', 'interface it listens at (default: 127.0.0.1, for this machine only)')
  .option('--port <port>', 'port (default: 8000, or another one where that is taken)', port)
  .option('--name <names...>', 'what clients call the model (default: the name of its directory)')
  .option('--api-key-env <variable>', 'environment variable with the key that clients must send')
  .addOption(
    new Option('--engine <engine>', 'what computes it (default: auto)').choices([
      'auto',
      'onnx',
      'tensorflow',
    ]),
  )
  .addOption(new Option('--device <device>', 'where (default: cpu)').choices(['cpu', 'cuda', 'webgpu']))
  .option('--threads <n>', 'compute threads (default: one for each processor)', number)
  .action((model: string, options: ServeOptions) =>
    exitWith(import('./commands/serve.js').then(({ serve }) => serve(model, options))),
  );
program
  .command('merge')
  .description('write the model that an adapter makes of its base, in Hugging Face layout')
  .argument('<adapter>', 'id of a run with an adapter, or a directory in the layout of PEFT')
  .argument('<out>', 'directory to write, which is not there yet')
  .option(...outputDir)
  .option('--model <dir>', 'the base model, where it is not where it was')
  .option('--bf16', 'write BF16 in place of F32')
  .action((adapter: string, out: string, options: Parameters<typeof merge>[2]) =>
    exitWith(import('./commands/merge.js').then(({ merge }) => merge(adapter, out, options))),
  );
program
  .command('status')
  .description('where running runs stand')
  .argument('[run]', 'one run')
  .option(...outputDir)
  .option('--json', 'JSON')
  .option('--watch', 'again and again, until the run is over or Ctrl-C')
  .action((id: string | undefined, options: StatusOptions) =>
    exitWith(import('./commands/status.js').then(({ status }) => status(id, options))),
  );
program
  .command('dashboard')
  .description('show runs on a page, and steer them; changes need the token in the address it prints')
  .option(...outputDir)
  .option('--host <host>', 'interface it listens at (default: 127.0.0.1, for this machine only)')
  .option('--port <port>', 'port (default: 7700, or another one where that is taken)', port)
  .action((options: Parameters<typeof dashboard>[0]) =>
    exitWith(import('./commands/dashboard.js').then(({ dashboard }) => dashboard(options))),
  );
program
  .command('ledger')
  .description('where every admitted group of a run is')
  .argument('<run>', 'running, or over')
  .option(...outputDir)
  .option('--rollout <index>', 'the history of one group', number)
  .option('--verify', 'count everything again, and exit with 1 when something disagrees')
  .option('--json', 'JSON')
  .action((id: string, options: Parameters<typeof ledger>[1]) =>
    exitWith(import('./commands/ledger.js').then(({ ledger }) => ledger(id, options))),
  );
program
  .command('trace')
  .description('what happened to a rollout, when and where, as a waterfall')
  .argument('<run>', 'running, or over')
  .argument('[rollout]', 'its index', number)
  .option(...outputDir)
  .option('--step <n>', 'the trace of an optimizer step instead', number)
  .option('--json', 'JSON')
  .action((id: string, rollout: number | undefined, options: Parameters<typeof trace>[2]) =>
    exitWith(import('./commands/trace.js').then(({ trace }) => trace(id, rollout, options))),
  );
const controlCommand = (name: string, description: string): Command =>
  program
    .command(name)
    .description(description)
    .argument('<run>', 'a running one')
    .option(...outputDir);
controlCommand('set', 'change settings of a running run: maxStaleness, steps, stopAtAccuracy')
  .argument('<settings...>', 'key=value, e.g. maxStaleness=8')
  .action((id: string, settings: string[], options: ControlOptions) =>
    exitWith(import('./commands/control.js').then(({ setRun }) => setRun(id, settings, options))),
  );
controlCommand('scale', 'start or drain replicas of policy, reward or reference while a run goes on')
  .argument('<counts...>', 'service=number, e.g. policy=3')
  .action((id: string, counts: string[], options: ControlOptions) =>
    exitWith(import('./commands/control.js').then(({ scaleRun }) => scaleRun(id, counts, options))),
  );
controlCommand('restart', 'start processes anew, one after the other, without a break')
  .argument('<service>', 'a service, or one replica of it: policy/0')
  .action((id: string, target: string, options: ControlOptions) =>
    exitWith(import('./commands/control.js').then(({ restartRun }) => restartRun(id, target, options))),
  );
controlCommand('pause', 'admit no more groups; what is in flight is finished').action(
  (id: string, options: ControlOptions) =>
    exitWith(import('./commands/control.js').then(({ pauseRun }) => pauseRun(id, options))),
);
controlCommand('unpause', 'admit groups again').action((id: string, options: ControlOptions) =>
  exitWith(import('./commands/control.js').then(({ unpauseRun }) => unpauseRun(id, options))),
);
const deadLetter = program.command('dead-letter').description('work of a run that failed for good');
const deadLetterCommand = (name: string, description: string): Command =>
  deadLetter
    .command(name)
    .description(description)
    .argument('<run>', 'running, or over')
    .option(...outputDir)
    .option('--json', 'JSON');
deadLetterCommand('list', 'all of it, oldest first').action((id: string, options: DeadLetterOptions) =>
  exitWith(import('./commands/dead-letter.js').then(({ listDeadLetters }) => listDeadLetters(id, options))),
);
deadLetterCommand('show', 'one letter, with what was worked on')
  .argument('<letter>', 'its id')
  .action((id: string, letter: string, options: DeadLetterOptions) =>
    exitWith(
      import('./commands/dead-letter.js').then(({ showDeadLetter }) => showDeadLetter(id, letter, options)),
    ),
  );
deadLetterCommand('replay', 'roll the samples of failed groups out again, as new groups of the running run')
  .argument('<letters...>', 'their ids')
  .action((id: string, letters: string[], options: DeadLetterOptions) =>
    exitWith(
      import('./commands/dead-letter.js').then(({ replayDeadLetters }) =>
        replayDeadLetters(id, letters, options),
      ),
    ),
  );
deadLetterCommand('discard', 'throw letters away')
  .argument('<letters...>', 'their ids')
  .action((id: string, letters: string[], options: DeadLetterOptions) =>
    exitWith(
      import('./commands/dead-letter.js').then(({ discardDeadLetters }) =>
        discardDeadLetters(id, letters, options),
      ),
    ),
  );
const weights = program.command('weights').description('weight versions of a run');
const weightsCommand = (name: string, description: string): Command =>
  weights
    .command(name)
    .description(description)
    .argument('<run>', 'running, or over')
    .option(...outputDir)
    .option('--json', 'JSON');
weightsCommand('list', 'those that are kept, oldest first').action((id: string, options: WeightsOptions) =>
  exitWith(import('./commands/weights.js').then(({ listWeights }) => listWeights(id, options))),
);
weightsCommand('verify', 'read all of them again, and exit with 1 when one is not what it should be').action(
  (id: string, options: WeightsOptions) =>
    exitWith(import('./commands/weights.js').then(({ verifyRunWeights }) => verifyRunWeights(id, options))),
);
weightsCommand('rollback', 'let the trainer go back to a version that is kept, at its next step')
  .requiredOption('--to <version>', 'a version that is kept, or has a checkpoint', number)
  .option('--wait <seconds>', 'how long to wait for it', number, 60)
  .action((id: string, options: Parameters<typeof rollBackWeights>[1]) =>
    exitWith(import('./commands/weights.js').then(({ rollBackWeights }) => rollBackWeights(id, options))),
  );
program
  .command('conformance')
  .description('look whether a part of your own, in any language, does what docs/wire.md says')
  .addArgument(new Argument('<role>', 'what it is').choices(['policy', 'trainer', 'reward']))
  .argument('[url]', 'a Redis to make a run in (default: REDIS_URL, or one of its own)')
  .argument('[overrides...]', 'key=value, changes to the recipe of that run')
  .option(
    '--command <command>',
    'a program with its arguments, which is the part; without it, start the part yourself',
  )
  .option('--recipe <recipe>', 'the recipe of that run', 'conformance')
  .option('--timeout <seconds>', 'how long each thing may take', number, 60)
  .option('--json', 'one JSON object')
  .action((role: Role, url: string | undefined, overrides: string[], options: ConformanceOptions) =>
    exitWith(
      import('./commands/conformance.js').then(({ conformance }) =>
        conformance(role, url, overrides, options),
      ),
    ),
  );
const runsCommand = program
  .command('runs')
  .description('list runs')
  .option(...outputDir)
  .option('--json', 'JSON')
  .action((options: Parameters<typeof runs>[0]) =>
    exitWith(import('./commands/runs.js').then(({ runs }) => runs(options))),
  );
runsCommand
  .command('rm')
  .description('delete runs that are over: their directories, and their state in Redis')
  .argument('<runs...>', 'their ids')
  .option('--yes', 'do it; without, only say what would be removed')
  .action((ids: string[], options: { yes?: boolean }, command: Command) =>
    exitWith(
      import('./commands/remove-runs.js').then(({ removeRuns }) =>
        removeRuns(ids, { ...options, ...command.optsWithGlobals<{ dir: string }>() }),
      ),
    ),
  );

const engine = program.command('engine').description('what computes models on this machine');
engine
  .command('install')
  .description('put an engine on this machine, and try it')
  .argument('<engine>', 'tensorflow')
  .option('--gpu', "with NVIDIA's libraries, for CUDA")
  .option('--json', 'JSON')
  .action((name: string, options: Parameters<typeof installEngine>[1]) =>
    exitWith(import('./commands/engine.js').then(({ installEngine }) => installEngine(name, options))),
  );
engine
  .command('list')
  .description('engines that are installed: version, devices, size, directory')
  .option('--json', 'JSON')
  .action((options: EngineCommandOptions) =>
    exitWith(import('./commands/engine.js').then(({ listEngines }) => listEngines(options))),
  );
engine
  .command('check')
  .description('let engines compute, and exit with 1 when one of them can not')
  .argument('[engine]', 'onnx or tensorflow; both unless given')
  .option('--json', 'JSON')
  .action((name: string | undefined, options: EngineCommandOptions) =>
    exitWith(import('./commands/engine.js').then(({ checkEngines }) => checkEngines(name, options))),
  );

program
  .command('agent')
  .description('let this machine run actors for others, who need the same FORGE_CLUSTER_TOKEN')
  .option(
    '--listen <address>',
    'tcp://INTERFACE:PORT, or tls:// with FORGE_TLS_CERT and FORGE_TLS_KEY',
    AGENT,
  )
  .option('--name <name>', 'name of the host (default: that of the machine)')
  .action((options: Parameters<typeof agent>[0]) =>
    exitWith(import('./commands/agent.js').then(({ agent }) => agent(options))),
  );

program.parseAsync().catch((error: unknown) => exitWith(Promise.reject(error as Error)));
