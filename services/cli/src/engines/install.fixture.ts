// Installs the release in its argument, as `forge engine install` does; prints what is said.
import { ForgeError } from '@forge/errors';
import { installTensorflow } from './install-tensorflow';
import type { TensorflowRelease } from './tensorflow-release';

const say = (message: string): void => {
  process.stdout.write(`${message}\n`);
};

const release = JSON.parse(process.argv[2] ?? '') as TensorflowRelease;
installTensorflow('cpu', release, { say, onProgress: () => undefined }).catch((error: unknown) => {
  const { code, message } = ForgeError.from(error);
  say(`${code}: ${message}`);
  process.exitCode = 1;
});
