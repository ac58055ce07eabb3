/** An instance's turn to compute a key. */
export interface ClusterTurn {
  /** The value has landed, or the computation has failed: others need not wait any longer. */
  end(): void;
}

/** Lets the instances of an app compute a key one at a time. */
export interface ClusterTurns {
  /**
   * Resolves to a turn when this instance is to compute the key, or to 'ended' when another's turn has ended and it is
   * worth looking again. Never rejects and never waits without bound: without the server, everybody's turn is now.
   */
  take(lane: string, key: string): Promise<ClusterTurn | 'ended'>;
}
