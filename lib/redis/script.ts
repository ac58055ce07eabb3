import { createHash } from 'node:crypto';
import type { RedisArgument, RedisPort } from './redis-port.js';

/** A Lua script, run by its hash; the text travels only when the server does not know it. */
export class Script {
  private readonly hash: string;

  constructor(private readonly text: string) {
    this.hash = createHash('sha1').update(text).digest('hex');
  }

  /** Makes it known to the server. */
  async load(port: RedisPort, timeoutMs: number): Promise<void> {
    await port.command(['SCRIPT', 'LOAD', this.text], { timeoutMs });
  }

  async run(
    port: RedisPort,
    keys: readonly string[],
    args: readonly RedisArgument[],
    timeoutMs: number,
  ): Promise<unknown> {
    const rest = [`${keys.length}`, ...keys, ...args];
    try {
      return await port.command(['EVALSHA', this.hash, ...rest], { timeoutMs });
    } catch (error) {
      if (!messageOf(error).startsWith('NOSCRIPT')) throw error;
      return port.command(['EVAL', this.text, ...rest], { timeoutMs });
    }
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
