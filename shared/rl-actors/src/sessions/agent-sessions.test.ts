import { connectService, serveActor, thisProc, type Service } from '@forge/actors';
import type { SessionAnswer, SessionCall } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { AgentSessions } from './agent-sessions';

const answer = (text: string): SessionAnswer => ({
  message: { role: 'assistant', content: text },
  completion: { text, promptTokenIds: [1], tokenIds: [2], logprobs: [-1], versions: [0], stopReason: 'end' },
});
const call: SessionCall = {
  ...{ sessionId: '3-1', digest: 'd'.repeat(64), isRetry: false, tools: [] },
  messages: [{ role: 'user', content: 'hello' }],
};

const open: { close: () => Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

/** The sessions of a policy replica, as another process calls them. */
async function connected(
  live: ConstructorParameters<typeof AgentSessions>[0],
): Promise<Service<AgentSessions>> {
  const texts = {
    renderChat: () => Promise.resolve([7, 8]),
    tokenTexts: (ids: readonly number[]) => Promise.resolve(ids.map(String)),
  };
  const sessions = await thisProc().spawn('sessions', AgentSessions, live, texts);
  const { address, actor, close } = await serveActor(sessions, 'inproc');
  const replica = { name: '0', pid: process.pid, address, actor, isAlive: true };
  const service = connectService('policy', AgentSessions, { list: () => Promise.resolve([replica]) });
  open.push({ close: () => service.shutdown() }, { close }, { close: () => sessions.stop() });
  return service;
}

describe('AgentSessions', () => {
  it('answers calls of its sessions and hears of their end', async () => {
    const ended: string[] = [];
    const service = await connected({
      answer: ({ sessionId }) => Promise.resolve(answer(sessionId)),
      ended: (sessionId) => void ended.push(sessionId),
    });
    expect(await service.answer.choose(call)).toEqual(answer('3-1'));
    await service.ended.choose('3-1');
    expect(ended).toEqual(['3-1']);
    expect(await service.renderChat.choose({ messages: call.messages })).toEqual([7, 8]);
    expect(await service.tokenTexts.choose([4, 5], [0, 1])).toEqual(['4', '5']);
  });

  it('answers other calls while one is under way, and never makes one again by itself', async () => {
    let calls = 0;
    let release = (): void => undefined;
    const service = await connected({
      answer: async () => {
        calls += 1;
        if (calls === 1) await new Promise<void>((resolve) => (release = resolve));
        return answer(String(calls));
      },
      ended: () => undefined,
    });
    const first = service.answer.choose(call);
    expect(await service.answer.choose(call)).toEqual(answer('2'));
    release();
    await first;
    const lost = await connected({
      answer: () => Promise.reject(new ForgeError('TRANSIENT_SESSION_LOST', `${++calls} times`)),
      ended: () => undefined,
    });
    await expect(lost.answer.choose(call)).rejects.toMatchObject({ code: 'TRANSIENT_SESSION_LOST' });
    expect(calls).toBe(3);
  });

  it('refuses what is no call', async () => {
    const service = await connected({
      answer: () => Promise.reject(new Error('not asked for')),
      ended: () => undefined,
    });
    for (const wrong of [
      { ...call, messages: [] },
      { ...call, digest: 'd' },
      { ...call, more: 1 },
    ])
      await expect(service.answer.choose(wrong)).rejects.toMatchObject({ code: 'CONTRACT_INVALID_MESSAGE' });
    await expect(service.ended.choose('')).rejects.toMatchObject({ code: 'CONTRACT_INVALID_MESSAGE' });
  });
});
