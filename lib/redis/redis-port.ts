/** One argument of a command. Text goes out as UTF-8. */
export type RedisArgument = string | Uint8Array;

/** What the library needs of a Redis or Valkey client. Bytes in, bytes out: bulk replies are `Buffer`. */
export interface RedisPort {
  /** Sends one command. Rejects with the server's error, when the connection is lost, and after `timeoutMs`. */
  command(args: readonly RedisArgument[], options?: { readonly timeoutMs?: number }): Promise<unknown>;
  /** A connection of its own, for blocking reads. Rejects when none can be had. */
  duplicate(): Promise<RedisPort>;
  readonly connected: boolean;
  /** Returns the function that stops listening. */
  onStateChange(listener: (connected: boolean) => void): () => void;
  /** Ends a connection that `duplicate` made; a client that was handed in is left to whoever made it. */
  close(): Promise<void>;
}

/** Whether something that was handed in as a client is a port already. */
export function isRedisPort(client: object): client is RedisPort {
  return (
    'command' in client &&
    typeof client.command === 'function' &&
    'duplicate' in client &&
    'onStateChange' in client &&
    'close' in client
  );
}

/** Tells listeners of a change of state once. */
export class ConnectionState {
  private readonly listeners = new Set<(connected: boolean) => void>();
  private now: boolean;

  constructor(connected: boolean) {
    this.now = connected;
  }

  listen(listener: (connected: boolean) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  become(connected: boolean): void {
    if (connected === this.now) return;
    this.now = connected;
    for (const listener of this.listeners) listener(connected);
  }
}
