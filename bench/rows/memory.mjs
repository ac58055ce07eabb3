import { inChild } from '../child.mjs';
import { row, under } from '../row.mjs';

const MB = 1024 * 1024;
const LIMITS = { docs: 100, standard: 500, heavy: 1_000 };

/** What a process weighs more when a lane's memory is full, all its tiers on. */
export async function memory(scratch) {
  const measured = new Map();
  const bars = [];
  for (const [lane, limit] of Object.entries(LIMITS)) {
    const empty = await inChild('full-lane', [scratch.directory(), lane, 'empty']);
    const full = await inChild('full-lane', [scratch.directory(), lane, 'full']);
    const grown = (full.rss - empty.rss) / MB;
    measured.set(`${lane}: RSS above an empty app`, grown);
    if (full.anonymous !== undefined && empty.anonymous !== undefined) {
      measured.set(`${lane}: of that, not views of files`, (full.anonymous - empty.anonymous) / MB);
    }
    measured.set(`${lane}: l1, ${full.entries} entries`, full.sizeBytes / MB);
    bars.push(under(grown, limit, 'MB', lane));
  }
  return row('memory of a full lane', 'MB', measured, bars);
}
