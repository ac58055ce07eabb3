/** A clock whose time passes from event to event. */
export class SimulatedClock {
  #heap = [];
  #time = 0;
  #count = 0;

  now() {
    return 1_767_225_600_000 + this.#time;
  }

  monotonic() {
    return this.#time;
  }

  schedule(afterMs, run) {
    const event = { at: this.#time + Math.max(0, afterMs), order: this.#count++, run };
    this.#push(event);
    return () => (event.run = undefined);
  }

  /** Runs what falls due within `ms`, in order, and lets promises settle in between. */
  async run(ms) {
    const end = this.#time + ms;
    await settled();
    while (this.#heap.length > 0 && this.#heap[0].at <= end) {
      const { at, run } = this.#pop();
      if (run === undefined) continue;
      this.#time = at;
      run();
      await settled();
    }
    this.#time = end;
  }

  #push(event) {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(heap[at], heap[parent])) return;
      [heap[at], heap[parent]] = [heap[parent], heap[at]];
      at = parent;
    }
  }

  #pop() {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (heap.length === 0) return first;
    heap[0] = last;
    for (let at = 0; ;) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      let least = at;
      if (left < heap.length && isBefore(heap[left], heap[least])) least = left;
      if (right < heap.length && isBefore(heap[right], heap[least])) least = right;
      if (least === at) return first;
      [heap[at], heap[least]] = [heap[least], heap[at]];
      at = least;
    }
  }
}

const isBefore = (one, other) => one.at < other.at || (one.at === other.at && one.order < other.order);

/** All promises that can settle have settled in the next turn of the event loop. */
const settled = () => new Promise((resolve) => setImmediate(resolve));
