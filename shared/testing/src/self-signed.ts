import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** Whether openssl, which makes certificates, is there. */
export const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

/** A certificate for `names`, as in `DNS:localhost`, that is its own authority, as PEM files in `dir`, valid for two days. */
export function selfSigned(
  dir: string,
  names: readonly string[] = ['DNS:localhost'],
): { certFile: string; keyFile: string } {
  const [keyFile, certFile] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile];
  const name = ['-subj', '/CN=localhost', '-addext', `subjectAltName=${names.join(',')}`, '-days', '2'];
  execFileSync('openssl', ['req', '-x509', ...key, ...name, '-out', certFile], { stdio: 'ignore' });
  return { certFile, keyFile };
}
