import type { RedisArgument } from './redis-port.js';

/** What keeps a process alive, or does not. */
export interface Holdable {
  ref(): unknown;
  unref(): unknown;
}

/** Commands that wait for others to do something: nobody waits for them. */
const BLOCKING: readonly RedisArgument[] = ['XREAD', 'BLPOP'];

/** Lets a connection keep the process alive only while somebody waits for an answer. */
export class ProcessHold {
  private awaited = 0;

  constructor(private readonly held: () => Holdable | undefined) {}

  release(): void {
    this.held()?.unref();
  }

  async during<T>([command]: readonly RedisArgument[], answer: () => Promise<T>): Promise<T> {
    if (command === undefined || BLOCKING.includes(command)) return answer();
    if (this.awaited++ === 0) this.held()?.ref();
    try {
      return await answer();
    } finally {
      if (--this.awaited === 0) this.release();
    }
  }
}
