import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SERVICES } from '@forge/contracts';
import { parse } from 'yaml';

const root = join(__dirname, '..');
const read = (name: string): string => readFileSync(join(root, name), 'utf8');

interface ComposeService {
  image?: string;
  command?: string | string[];
  restart?: string;
  profiles?: string[];
  deploy?: { resources: { reservations: { devices: object[] } } };
  user?: string;
  depends_on?: Record<string, { condition: string }>;
  environment?: Record<string, string>;
}

const text = read('docker-compose.yml');
const { services } = parse(text, { merge: true }) as { services: Record<string, ComposeService> };
const ours = Object.entries(services).filter(([, { image }]) => image?.includes('FORGE_'));

describe('docker-compose.yml', () => {
  it('has every service of a run', () => {
    const commands = ours.map(([, { command }]) => command);
    for (const service of SERVICES) expect(commands).toContain(service);
  });

  it('runs services that exist, not as root, and restarts all that do not end by themselves', () => {
    for (const [name, { command, restart, user, image }] of ours) {
      expect({ name, user }).toEqual({
        name,
        user: image?.includes('REDIS') ? 'redis' : '${FORGE_UID:-1000}',
      });
      const once = command === 'create' || command === 'secrets';
      expect({ name, restart }).toEqual({ name, restart: once ? 'no' : 'unless-stopped' });
      if (typeof command === 'string' && !once)
        expect(existsSync(join(root, 'services', command, 'src/main.ts'))).toBe(true);
    }
  });

  it('gives what computes a GPU in the profile gpu, and no two profiles the same service', () => {
    const profileOf = (name: string) => services[name]?.profiles;
    const others = { policy: ['cpu', 'torch'], reference: ['cpu', 'torch'], trainer: ['cpu'] };
    for (const [name, profiles] of Object.entries(others)) {
      expect(profileOf(name)).toEqual(profiles);
      expect(profileOf(`${name}-gpu`)).toEqual(['gpu']);
      expect(services[`${name}-gpu`]?.command).toBe(services[name]?.command);
      expect(services[`${name}-gpu`]?.deploy?.resources.reservations.devices).toMatchObject([
        { driver: 'nvidia', capabilities: ['gpu'] },
      ]);
    }
  });

  it('trains in PyTorch in the profile torch, in an image that has it', () => {
    const { profiles, command, image } = services['trainer-torch'] ?? {};
    expect([profiles, command, image]).toEqual([['torch'], 'trainer', '${FORGE_TORCH_IMAGE:-forge:torch}']);
    const stages = read('infra/docker/Dockerfile').split(/^FROM /m);
    const stage = stages.find((one) => one.startsWith('cpu AS torch')) ?? '';
    const lock = /-r (\S+)/.exec(stage)?.[1] ?? '';
    expect(existsSync(join(root, lock))).toBe(true);
    expect(stage).toContain('FORGE_TORCH_PYTHON=');
    expect(stages.at(-1)).toBe('cpu\n');
  });

  it('starts services when the run is made', () => {
    for (const [name, { command, depends_on: needs }] of ours) {
      if (name === 'redis' || command === 'create' || command === 'secrets') continue;
      expect(needs).toMatchObject({ create: { condition: 'service_completed_successfully' } });
    }
  });

  it('has a default for every variable, and the same one in .env', () => {
    const defaults = new Map(
      [...read('.env').matchAll(/^([A-Z_]+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]),
    );
    const used = [...text.matchAll(/\$\{([A-Z_]+)(:?-([^}]*))?\}/g)];
    expect(used.length).toBeGreaterThan(10);
    for (const [whole, name = '', fallback, value = ''] of used) {
      expect({ whole, hasDefault: fallback !== undefined }).toEqual({ whole, hasDefault: true });
      if (defaults.has(name)) expect({ name, value: defaults.get(name) }).toEqual({ name, value });
    }
    const names = new Set(used.map(([, name]) => name));
    for (const name of defaults.keys())
      if (!name.startsWith('COMPOSE_'))
        expect({ name, isUsed: names.has(name) }).toEqual({ name, isUsed: true });
  });
});
