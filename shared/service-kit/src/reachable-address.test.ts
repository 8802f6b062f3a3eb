import { ownHost, reachableAddress } from './reachable-address';

type Interfaces = Exclude<Parameters<typeof ownHost>[0], undefined>;

const address = (text: string, more: object = {}) => ({
  address: text,
  family: 'IPv4',
  internal: false,
  ...more,
});
const loopback = address('127.0.0.1', { internal: true });
const linkLocal = address('fe80::1', { family: 'IPv6', scopeid: 2 });

describe('ownHost', () => {
  it.each([
    [{ lo: [loopback], eth0: [linkLocal, address('172.18.0.4')], eth1: [address('10.0.0.1')] }, '172.18.0.4'],
    [{ eth0: [linkLocal, address('fd00::4', { family: 'IPv6', scopeid: 0 })] }, 'fd00::4'],
    [{ lo: [loopback] }, '127.0.0.1'],
  ])('chooses what others can reach (%#)', (interfaces, expected) => {
    expect(ownHost(interfaces as unknown as Interfaces)).toBe(expected);
  });
});

describe('reachableAddress', () => {
  it.each([
    ['tcp://0.0.0.0:7601', '172.18.0.4', 'tcp://172.18.0.4:7601'],
    ['tls://[::]:7601', 'trainer.example', 'tls://trainer.example:7601'],
    ['http://0.0.0.0:8080', 'fd00::4', 'http://[fd00::4]:8080'],
    ['http://127.0.0.1:8080', '172.18.0.4', 'http://127.0.0.1:8080'],
    ['unix:/tmp/0.0.0.0', '172.18.0.4', 'unix:/tmp/0.0.0.0'],
  ])('tells others of %s at %s as %s', (listening, host, told) => {
    expect(reachableAddress(listening, host)).toBe(told);
  });
});
