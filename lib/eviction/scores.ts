/** Savings count half after so many requests per entry of the capacity. */
const HALF_LIFE = 8;
/** By how much of all cost another one must be ahead to take the lead. */
const LEAD_SHARE = 0.01;

/** What each of several policies would have saved lately, of all cost. Older savings count less and less. */
export class Scores {
  private readonly saved: Float64Array;
  private savedByLane = 0;
  private asked = 0;
  private decay = 1;
  /** The decay and the weight of a run of requests of one entry, from here on. */
  private runDecay = 1;
  private runWeight = 1;

  constructor(policies: number) {
    this.saved = new Float64Array(policies);
  }

  /** The half-life follows how many entries the lane can hold. */
  adaptTo(entries: number): void {
    this.decay = 2 ** (-1 / (HALF_LIFE * entries));
  }

  /** Begins with `uses` requests of an entry that costs so much. */
  ask(cost: number, uses: number): void {
    this.runDecay = this.decay ** uses;
    this.runWeight = this.decay === 1 ? uses : (1 - this.runDecay) / (1 - this.decay);
    this.asked = this.asked * this.runDecay + cost * this.runWeight;
  }

  /** What a policy saves of these requests. */
  save(policy: number, cost: number): void {
    this.saved[policy] = (this.saved[policy] ?? 0) * this.runDecay + cost * this.runWeight;
  }

  saveByLane(cost: number): void {
    this.savedByLane = this.savedByLane * this.runDecay + cost * this.runWeight;
  }

  /** Which one leads, if `leading` has led so far. */
  leaderAfter(leading: number): number {
    let best = leading;
    for (let policy = 0; policy < this.saved.length; policy++) {
      if ((this.saved[policy] ?? 0) > (this.saved[best] ?? 0)) best = policy;
    }
    const ahead = (this.saved[best] ?? 0) - (this.saved[leading] ?? 0);
    return ahead > LEAD_SHARE * this.asked ? best : leading;
  }

  /** In percent of all cost. */
  shareOf(policy: number): number {
    return this.asked === 0 ? 0 : (100 * (this.saved[policy] ?? 0)) / this.asked;
  }

  get laneShare(): number {
    return this.asked === 0 ? 0 : (100 * this.savedByLane) / this.asked;
  }

  toNumbers(): readonly number[] {
    return [this.asked, this.savedByLane, ...this.saved];
  }

  /** What `toNumbers` has returned. */
  adopt([asked = 0, savedByLane = 0, ...saved]: readonly number[]): void {
    this.asked = asked;
    this.savedByLane = savedByLane;
    for (let policy = 0; policy < this.saved.length; policy++) this.saved[policy] = saved[policy] ?? 0;
  }
}
