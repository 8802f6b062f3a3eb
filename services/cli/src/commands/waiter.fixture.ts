import { callContext, endpoint, ForgeActor } from '@forge/actors';

/** An actor that has something under way for as long as it may. */
export class Waiter extends ForgeActor {
  @endpoint({ concurrent: true })
  async wait(): Promise<void> {
    const { signal } = callContext();
    await new Promise((resolve) => {
      signal.addEventListener('abort', resolve, { once: true });
    });
  }

  @endpoint({ concurrent: true })
  isThere(): boolean {
    return true;
  }
}
