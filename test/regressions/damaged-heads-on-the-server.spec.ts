import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { entryOf } from '../../lib/redis/tier/lookups.js';
import type { SharedInstance } from '../model/shared-log/instance.js';
import { InstancePair } from '../support/instance-pair.js';

/** Birth, end of life and length of the tags; then the tag `t` after its length. */
const NUMBERS_BYTES = 16;
const HEAD_BYTES = NUMBERS_BYTES + 4 + 3;

describe('an entry on the server with a flipped bit before its record', () => {
  let pair: InstancePair;
  let writer: SharedInstance;
  let reader: SharedInstance;

  beforeEach(async () => {
    pair = new InstancePair();
    writer = pair.start(0);
    reader = pair.start(1);
    await pair.pass(500);
    // A birth that is not zero.
    for (let n = 0; n < 5; n++) await pair.during(writer.app.manager().invalidateByTag('another'));
    await pair.during(writer.app.manager().getOrSet('k', () => 'old', { tags: ['t'] }));
    await pair.pass(100);
  });
  afterEach(() => pair.end());

  const name = (): string => pair.server.names.find((one) => one.includes(':e:')) ?? '';
  const written = (): Buffer => {
    const entry = pair.server.command('GET', [name()]);
    return Buffer.from(typeof entry === 'string' ? entry : '', 'latin1');
  };

  /** What the reader gets for each single bit that is flipped. */
  async function readsOf(entry: Buffer): Promise<readonly unknown[]> {
    const reads: unknown[] = [];
    for (let bit = 0; bit < HEAD_BYTES * 8; bit++) {
      pair.server.command('SET', [name(), flipped(entry, bit).toString('latin1'), 'PX', '60000']);
      reader.app.memory.clearAll();
      reads.push(await pair.during(reader.app.manager().get('k')));
    }
    return reads;
  }

  it('is served to nobody once its tag was invalidated', async () => {
    const entry = written();
    await pair.during(writer.app.manager().invalidateByTag('t'));
    await pair.pass(100);
    expect(new Set(await readsOf(entry))).toEqual(new Set([undefined]));
  });

  it('is served to nobody by an instance that has not followed the invalidation of its tag', async () => {
    const entry = written();
    await pair.during(writer.app.manager().invalidateByTag('t'));
    const network = pair.networks[1];
    network.isDown = true;
    network.cut();
    reader = pair.start(1);
    network.isDown = false;
    await pair.pass(3_000);
    expect(new Set(await readsOf(entry))).toEqual(new Set([undefined]));
  });

  it('is a miss, and L4 stays on', async () => {
    const reads = await readsOf(written());
    // One bit of the check may make it look like none, which changes neither birth nor end.
    expect(reads.filter((read) => read !== undefined).length).toBeLessThanOrEqual(1);
    expect(reader.app.manager().getMetrics().l4.state).toBe('on');
  });

  it('has no birth and no end of life', () => {
    const entry = written();
    const sound = entryOf(entry);
    expect(sound).toMatchObject({ birth: 5 });
    for (let bit = 0; bit < NUMBERS_BYTES * 8; bit++) {
      const found = entryOf(flipped(entry, bit));
      if (found !== undefined) expect([bit, found]).toEqual([bit, sound]);
    }
  });

  it('is read where release 0.1.0 has written it', async () => {
    const entry = written();
    entry.writeDoubleBE(Math.floor(entry.readDoubleBE(8)), 8);
    pair.server.command('SET', [name(), entry.toString('latin1'), 'PX', '60000']);
    reader.app.memory.clearAll();
    expect(await pair.during(reader.app.manager().get('k'))).toBe('old');
  });
});

function flipped(bytes: Buffer, bit: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
  return copy;
}
