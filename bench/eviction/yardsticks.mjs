// What others would keep of the same accesses. `fits(entries, bytes)` says whether a cache may hold that much.

/** Exact LRU. Returns what it saves. */
export function exactLru(accesses, { size, cost }, fits) {
  const order = new Map();
  let bytes = 0;
  let saved = 0;
  for (const key of accesses) {
    if (order.delete(key)) saved += cost[key];
    else bytes += size[key];
    order.set(key, true);
    while (!fits(order.size, bytes)) {
      const [oldest] = order.keys();
      order.delete(oldest);
      bytes -= size[oldest];
    }
  }
  return saved;
}

/**
 * W-TinyLFU as in Caffeine without its hill climbing: a window of 1 %, then a segmented LRU whose victim is pushed out only by
 * a key that was asked for more often. It knows neither sizes nor costs, so it is compared where these are alike.
 */
export function tinyLfu(accesses, { cost }, entries) {
  const [window, probation, guarded] = [new Map(), new Map(), new Map()];
  const windowSize = Math.max(1, Math.floor(entries * 0.01));
  const guardedSize = Math.floor((entries - windowSize) * 0.8);
  const uses = new Map();
  let noted = 0;
  let saved = 0;
  for (const key of accesses) {
    uses.set(key, Math.min(15, (uses.get(key) ?? 0) + 1));
    if (++noted >= entries * 10) {
      noted >>= 1;
      for (const [each, count] of uses)
        if (count > 1) uses.set(each, count >> 1);
        else uses.delete(each);
    }
    if (window.delete(key)) {
      saved += cost[key];
      window.set(key, true);
    } else if (probation.delete(key) || guarded.delete(key)) {
      saved += cost[key];
      guarded.set(key, true);
      if (guarded.size > guardedSize) move(guarded, probation);
    } else {
      window.set(key, true);
      if (window.size > windowSize) offer(take(window));
    }
  }
  return saved;

  function offer(candidate) {
    if (probation.size + guarded.size < entries - windowSize) probation.set(candidate, true);
    else {
      const from = probation.size > 0 ? probation : guarded;
      const [victim] = from.keys();
      if ((uses.get(candidate) ?? 0) <= (uses.get(victim) ?? 0)) return;
      from.delete(victim);
      probation.set(candidate, true);
    }
  }
}

function take(from) {
  const [oldest] = from.keys();
  from.delete(oldest);
  return oldest;
}

function move(from, to) {
  to.set(take(from), true);
}

/**
 * What can be saved by one who knows the future: each stay from one access of a key to its next is taken if there is room
 * all the while, those first that save the most for their bytes and time.
 */
export function feasible(accesses, { size, cost }, capacity) {
  const last = new Map();
  const stays = [];
  for (const [to, key] of accesses.entries()) {
    const from = last.get(key);
    if (from !== undefined) stays.push({ from, to, key, worth: cost[key] / (size[key] * (to - from)) });
    last.set(key, to);
  }
  stays.sort((a, b) => b.worth - a.worth);
  const taken = new Occupancy(accesses.length);
  let saved = 0;
  for (const { from, to, key } of stays) {
    if (to - from > 1 && taken.most(from + 1, to) + size[key] > capacity) continue;
    if (to - from > 1) taken.add(from + 1, to, size[key]);
    saved += cost[key];
  }
  return saved;
}

/** How much is held at each moment: a tree of sums that apply to whole ranges, and of the most below each. */
class Occupancy {
  #leaves = 1;
  #most;
  #whole;

  constructor(moments) {
    while (this.#leaves < moments) this.#leaves *= 2;
    this.#most = new Float64Array(this.#leaves * 2);
    this.#whole = new Float64Array(this.#leaves * 2);
  }

  most(from, to, node = 1, low = 0, high = this.#leaves) {
    if (to <= low || high <= from) return 0;
    if (from <= low && high <= to) return this.#most[node];
    const middle = (low + high) / 2;
    const below = Math.max(this.most(from, to, node * 2, low, middle), this.most(from, to, node * 2 + 1, middle, high));
    return below + this.#whole[node];
  }

  add(from, to, amount, node = 1, low = 0, high = this.#leaves) {
    if (to <= low || high <= from) return;
    if (from <= low && high <= to) {
      this.#most[node] += amount;
      this.#whole[node] += amount;
      return;
    }
    const middle = (low + high) / 2;
    this.add(from, to, amount, node * 2, low, middle);
    this.add(from, to, amount, node * 2 + 1, middle, high);
    this.#most[node] = Math.max(this.#most[node * 2], this.#most[node * 2 + 1]) + this.#whole[node];
  }
}
