import type { ExpiredTag, LogRow, LogState, StoredCursor } from '../invalidation/journal.js';
import type { EntryBatch } from '../storage/entries/entry-batch.js';
import type { Environment, Table } from '../storage/environment.js';

/** Of the tables and of what their rows mean. Another one is set aside, not read. */
const LAYOUT = 1;

/** The stored part of the invalidation log, beside the entries that it judges. */
export class StoredLog {
  private readonly table: Table;

  constructor(environment: Environment) {
    this.table = environment.table('log');
  }

  get isEmpty(): boolean {
    return this.table.keys({ limit: 1 })[Symbol.iterator]().next().done === true;
  }

  /** Which life of the folder the entries and the log belong to; `undefined` when none is noted, or of another layout. */
  generation(): string | undefined {
    const row = this.table.get('generation');
    const [layout, id] = row === undefined ? [] : Buffer.from(row).toString('utf8').split(' ');
    return layout === String(LAYOUT) ? id : undefined;
  }

  begin(batch: EntryBatch, generation: string, ceiling: number): void {
    batch.set(this.table, 'generation', Buffer.from(`${LAYOUT} ${generation}`));
    batch.set(this.table, 'ceiling', encode(ceiling));
  }

  read(): LogState {
    return {
      ceiling: this.number('ceiling'),
      tagFloor: this.number('tag-floor'),
      expireFloor: this.number('expire-floor'),
      tagAt: new Map(this.marked('tag').map(toPosition)),
      expiredTagAt: new Map(this.marked('expired-tag').map(toExpiredTag)),
      clearAt: new Map(this.marked('clear').map(toPosition)),
      latestTime: this.number('time'),
      cursor: this.cursor(),
    };
  }

  write(batch: EntryBatch, row: LogRow): void {
    switch (row.row) {
      case 'tag':
        return batch.set(this.table, ['tag', JSON.stringify(row.tag)], encode(row.position));
      case 'expired-tag':
        return batch.set(this.table, ['expired-tag', JSON.stringify(row.tag)], encode(row.position, row.at));
      case 'clear':
        return batch.set(this.table, ['clear', JSON.stringify(row.lane)], encode(row.position));
      case 'time':
        return batch.set(this.table, 'time', encode(row.at));
      case 'cursor':
        return batch.set(this.table, 'cursor', Buffer.from(`${row.sequence} ${row.generation}`));
      case 'tag-floor':
        this.drop(batch, 'tag', row.dropped);
        break;
      case 'expire-floor':
        this.drop(batch, 'expired-tag', row.dropped);
        break;
      case 'ceiling':
        break;
    }
    batch.set(this.table, row.row, encode(row.position));
  }

  private drop(batch: EntryBatch, kind: string, tags: readonly string[]): void {
    for (const tag of tags) batch.unset(this.table, [kind, JSON.stringify(tag)]);
  }

  private number(name: string): number {
    const row = this.table.get(name);
    return row === undefined ? 0 : decode(row)[0];
  }

  private cursor(): StoredCursor | undefined {
    const row = this.table.get('cursor');
    if (row === undefined) return undefined;
    const [sequence = '', generation = ''] = Buffer.from(row).toString('utf8').split(' ');
    return { generation, sequence: Number(sequence) };
  }

  /** Subjects lie as JSON, which keeps lone surrogates that UTF-8 would lose. */
  private marked(kind: string): Marked[] {
    const found: Marked[] = [];
    for (const { key, value } of this.table.range({ start: [kind], end: [kind, '\uffff'] })) {
      const subject = typeof key === 'object' ? key[1] : undefined;
      if (typeof subject === 'string') found.push([JSON.parse(subject), decode(value)]);
    }
    return found;
  }
}

type Marked = readonly [subject: string, numbers: readonly [number, number]];

const toPosition = ([subject, [position]]: Marked): readonly [string, number] => [subject, position];
const toExpiredTag = ([subject, [position, at]]: Marked): readonly [string, ExpiredTag] => [subject, { position, at }];

function encode(first: number, second = 0): Uint8Array {
  const bytes = Buffer.allocUnsafe(16);
  bytes.writeDoubleLE(first, 0);
  bytes.writeDoubleLE(second, 8);
  return bytes;
}

function decode(row: Uint8Array): readonly [number, number] {
  const bytes = Buffer.from(row.buffer, row.byteOffset, row.byteLength);
  return [bytes.readDoubleLE(0), bytes.readDoubleLE(8)];
}
