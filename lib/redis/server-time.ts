/** The server's clock as seen from here, never behind it: so that no entry lives longer for the way it came. */
export class ServerTime {
  private ahead = -Infinity;

  /** What the server said is asked at `askedAt`, in life time. */
  told(askedAt: number, serverNow: number): void {
    this.ahead = serverNow - askedAt;
  }

  /** Life time at which the server's clock will show `at`, or a little before. */
  whenShows(at: number): number {
    return at - this.ahead;
  }
}
