// Makes the secrets of a stack where they are missing: one file each in /run/forge, a volume or a folder of the host.
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const dir = '/run/forge';
const BYTES = 32;

const names = ['redis-password', 'cluster-token', 'dashboard-token', 'gateway-token'];
for (const name of names) {
  const file = join(dir, name);
  try {
    // Redis runs as another user than the services; no container but theirs has this volume.
    writeFileSync(file, `${randomBytes(BYTES).toString('hex')}\n`, { flag: 'wx', mode: 0o444 });
    console.log(`made ${name}`);
    continue;
  } catch (error) {
    if (error.code !== 'EEXIST') fail(`${name} is missing, and can't be made: ${error.message}`);
  }
  try {
    if (readFileSync(file, 'utf8').trim() === '') fail(`${name} is empty`);
    console.log(`${name} is there`);
  } catch (error) {
    fail(`${name} can't be read: ${error.message}`);
  }
}

function fail(what) {
  console.error(
    `forge: ${what}\n` +
      `The folder that FORGE_SECRETS names needs the files ${names.join(', ')}, readable by user ` +
      `${process.getuid()}; make them with: openssl rand -hex ${BYTES} > FILE. Without FORGE_SECRETS they are made in a volume.`,
  );
  process.exit(2);
}
