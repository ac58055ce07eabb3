import { inChild } from '../child.mjs';
import { row, under } from '../row.mjs';

const MB = 1024 * 1024;
const LIMITS = { docs: 100, standard: 500, heavy: 1_000 };

/** glibc keeps freed blocks of this size and more for later, unless it is set. */
const GIVES_BACK = { MALLOC_MMAP_THRESHOLD_: '131072', MALLOC_TRIM_THRESHOLD_: '131072' };

/**
 * What a process weighs more when a lane's memory is full, all its tiers on; beside what the values alone weigh in a map, and
 * what remains if the allocator of the system keeps nothing that was freed.
 */
export async function memory(scratch) {
  const measured = new Map();
  const bars = [];
  for (const [lane, limit] of Object.entries(LIMITS)) {
    const empty = await inChild('full-lane', [scratch.directory(), lane, 'empty']);
    const values = await inChild('full-lane', [scratch.directory(), lane, 'values']);
    const full = await inChild('full-lane', [scratch.directory(), lane, 'full']);
    const lean = await inChild('full-lane', [scratch.directory(), lane, 'full'], GIVES_BACK);
    const grown = (full.rss - empty.rss) / MB;
    measured.set(`${lane}: RSS above an empty app`, grown);
    measured.set(`${lane}: the same values in a map`, (values.rss - empty.rss) / MB);
    measured.set(`${lane}: RSS if what was freed is given back`, (lean.rss - empty.rss) / MB);
    if (full.anonymous !== undefined && empty.anonymous !== undefined) {
      measured.set(`${lane}: of that, not views of files`, (full.anonymous - empty.anonymous) / MB);
    }
    measured.set(`${lane}: l1, ${full.entries} entries`, full.sizeBytes / MB);
    bars.push(under(grown, limit, 'MB', lane));
  }
  return row('memory of a full lane', 'MB', measured, bars);
}
