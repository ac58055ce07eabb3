import type { LogCursor } from '../invalidation/shared-log.js';

/** At most so many moves are remembered; what was born before the oldest is not shared. */
const REMEMBERED_CURSORS = 16_384;

/**
 * Which sequence numbers had been followed when this process was at a position: the shared birth of what was born
 * there. Every move of the cursor moves the position too, so a position stands for one cursor.
 */
export class CursorHistory {
  private generation = '';
  private positions: number[] = [];
  private sequences: number[] = [];

  get current(): LogCursor | undefined {
    const sequence = this.sequences.at(-1);
    return sequence === undefined ? undefined : { generation: this.generation, sequence };
  }

  /** From `position` on, the log has been followed up to `cursor`. Another generation forgets the one before. */
  note(position: number, { generation, sequence }: LogCursor): void {
    if (generation !== this.generation) {
      this.generation = generation;
      this.positions = [];
      this.sequences = [];
    }
    this.positions.push(position);
    this.sequences.push(sequence);
    if (this.positions.length <= REMEMBERED_CURSORS) return;
    this.positions = this.positions.slice(REMEMBERED_CURSORS / 2);
    this.sequences = this.sequences.slice(REMEMBERED_CURSORS / 2);
  }

  /** The cursor as it was when the process came to `birth`; undefined if that is not known any more. */
  at(birth: number): LogCursor | undefined {
    let low = 0;
    let high = this.positions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.positions[middle] ?? Infinity) <= birth) low = middle + 1;
      else high = middle;
    }
    const sequence = this.sequences[low - 1];
    return sequence === undefined ? undefined : { generation: this.generation, sequence };
  }
}
