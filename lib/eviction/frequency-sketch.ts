const ROWS = 4;
const COUNTERS_PER_ENTRY = 8;
export const HIGHEST_COUNT = 63;
const FEWEST_COUNTERS = 512;
/** All counters are halved after so many additions per entry of the capacity. */
const ADDITIONS_PER_ENTRY = 40;
const SEEDS = [0x9e3779b1, 0x85ebca6b, 0xc2b2ae35, 0x27d4eb2f] as const;

/**
 * How often a key was asked for lately, at most 63 times: a count-min sketch whose counters age (Cormode and Muthukrishnan,
 * 2005; the ageing is that of TinyLFU, Einziger, Friedman and Manes, 2017).
 */
export class FrequencySketch {
  private counters = new Uint8Array(ROWS * FEWEST_COUNTERS);
  private width = FEWEST_COUNTERS;
  private additions = 0;

  /** Has counters enough for so many keys. */
  fit(entries: number): void {
    if (entries * COUNTERS_PER_ENTRY > this.width) this.widen(entries * COUNTERS_PER_ENTRY);
  }

  /** Counts one request. Returns whether all counters were halved by it. */
  add(hash: number, capacity: number): boolean {
    const low = hash >>> 0;
    let isNoted = false;
    for (let row = 0; row < ROWS; row++) {
      const place = this.placeOf(low, row);
      const count = this.counters[place] ?? 0;
      if (count >= HIGHEST_COUNT) continue;
      this.counters[place] = count + 1;
      isNoted = true;
    }
    if (!isNoted || ++this.additions < ADDITIONS_PER_ENTRY * capacity) return false;
    for (let place = 0; place < this.counters.length; place++) this.counters[place] = (this.counters[place] ?? 0) >> 1;
    this.additions >>= 1;
    return true;
  }

  estimate(hash: number): number {
    const low = hash >>> 0;
    let least = HIGHEST_COUNT;
    for (let row = 0; row < ROWS; row++) least = Math.min(least, this.counters[this.placeOf(low, row)] ?? 0);
    return least;
  }

  private placeOf(hash: number, row: number): number {
    let mixed = Math.imul(hash ^ (SEEDS[row] ?? 0), 0x2c1b3c6d);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x297a2d39);
    return row * this.width + ((mixed ^ (mixed >>> 13)) & (this.width - 1));
  }

  /** A wider row repeats the narrower one, so that no estimate falls. */
  private widen(atLeast: number): void {
    const width = 2 ** Math.ceil(Math.log2(atLeast));
    const counters = new Uint8Array(ROWS * width);
    for (let place = 0; place < counters.length; place++) {
      const row = Math.floor(place / width);
      counters[place] = this.counters[row * this.width + (place & (this.width - 1))] ?? 0;
    }
    this.counters = counters;
    this.width = width;
  }
}
