import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { CheckpointDraft, CheckpointStore } from '../../lib/checkpoints/checkpoint-store.js';

const NOW = Date.UTC(2026, 0, 1);

const draft = (id: string, more: Partial<CheckpointDraft> = {}): CheckpointDraft => ({
  id,
  lane: 'standard',
  savedAt: NOW,
  sizeBytes: 3,
  checksum: 'of the service',
  ...more,
});

const STATE = Uint8Array.of(1, 2, 3);

export interface OpenedStore {
  readonly store: CheckpointStore;
  /** After `store.close()`: removes what it left. */
  readonly dispose: () => Promise<void>;
}

/** What every store of checkpoints must do, wherever its bytes rest. */
export function checkpointStoreContract(name: string, open: () => Promise<OpenedStore>): void {
  describe(`the checkpoint store ${name}`, () => {
    let opened: OpenedStore;
    let store: CheckpointStore;

    beforeEach(async () => {
      opened = await open();
      store = opened.store;
    });

    afterEach(async () => {
      await store.close();
      await opened.dispose();
    });

    it('reads what was saved, the newest by default', async () => {
      const first = await store.save(draft('id', { workflow: 'w', step: 1, metadata: 'AQ==' }), STATE);
      expect(first).toMatchObject({
        outcome: 'saved',
        record: { id: 'id', version: 1, workflow: 'w', step: 1, metadata: 'AQ==', pinned: false, damaged: false },
      });
      await store.save(draft('id', { sizeBytes: 1 }), Uint8Array.of(9));
      const newest = await store.read('id', { asOf: NOW });
      expect(newest).toMatchObject({ outcome: 'found', record: { version: 2 } });
      const older = await store.read('id', { version: 1 });
      expect(older.outcome === 'found' && [...older.state]).toEqual([1, 2, 3]);
      expect(await store.read('id', { version: 3 })).toEqual({ outcome: 'absent' });
      expect(await store.read('other', { asOf: NOW })).toEqual({ outcome: 'absent' });
    });

    it('holds states of any size', async () => {
      for (const sizeBytes of [0, 1, 8 * 1024 ** 2, 8 * 1024 ** 2 + 1, 17 * 1024 ** 2]) {
        const state = Buffer.alloc(sizeBytes, 'abc');
        await store.save(draft(`${sizeBytes}`, { sizeBytes }), state);
        const read = await store.read(`${sizeBytes}`, { asOf: NOW });
        expect(read.outcome === 'found' && state.equals(read.state)).toBe(true);
      }
    });

    it('takes writes in the order of the calls', async () => {
      const saves = Array.from({ length: 50 }, (_, step) => store.save(draft('id', { step }), STATE));
      await Promise.all(saves);
      expect((await store.history('id', 2)).map(({ version, step }) => [version, step])).toEqual([
        [50, 49],
        [49, 48],
      ]);
      expect(await store.versions('id')).toEqual(Array.from({ length: 50 }, (_, n) => 50 - n));
    });

    it('lets exactly one of two writers with the same expected version win', async () => {
      for (const expected of [0, 1, 2, 3]) {
        const outcomes = await Promise.all([1, 2, 3].map(() => store.save(draft('id'), STATE, expected)));
        expect(outcomes.filter(({ outcome }) => outcome === 'saved')).toHaveLength(1);
        expect(outcomes).toContainEqual({ outcome: 'conflict', currentVersion: expected + 1 });
      }
    });

    it('uses no version twice, whatever was removed', async () => {
      await store.save(draft('id'), STATE);
      await store.save(draft('id'), STATE);
      const outcome = Promise.all([store.save(draft('id'), STATE), store.remove('id'), store.save(draft('id'), STATE)]);
      expect((await outcome)[1]).toHaveLength(3);
      expect(await store.versions('id')).toEqual([4]);
      expect(await store.remove('id', 3)).toEqual([]);
      expect(await store.remove('id', 4)).toEqual([4]);
      expect(await store.save(draft('id'), STATE, 0)).toMatchObject({ record: { version: 5 } });
    });

    it('keeps apart ids that look alike', async () => {
      const ids = [
        '../../x',
        '/etc/passwd',
        'a\0b',
        'a',
        '\ud800',
        '\udbff',
        '\ufffd',
        '__proto__',
        'é',
        'e\u0301',
        'x'.repeat(1024),
        'x'.repeat(1023),
      ];
      for (const [index, id] of ids.entries()) await store.save(draft(id, { step: index }), STATE);
      for (const [index, id] of ids.entries()) {
        expect(await store.read(id, { asOf: NOW })).toMatchObject({ record: { id, step: index, version: 1 } });
      }
      expect((await store.list({ limit: 100 })).records.map(({ id }) => id)).toEqual(ids.toReversed());
    });

    it('marks versions', async () => {
      for (let n = 0; n < 3; n += 1) await store.save(draft('id'), STATE);
      expect(await store.mark('id', 'pinned')).toBe(true);
      expect(await store.mark('id', 'pinned', 1)).toBe(true);
      expect(await store.mark('id', 'pinned', 9)).toBe(false);
      expect(await store.mark('id', 'damaged', 2)).toBe(true);
      expect((await store.history('id', 9)).map(({ pinned, damaged }) => [pinned, damaged])).toEqual([
        [true, false],
        [false, true],
        [true, false],
      ]);
      expect(await store.mark('id', 'unpinned')).toBe(true);
      expect((await store.history('id', 9)).some(({ pinned }) => pinned)).toBe(false);
    });

    it('lists newest first, by label and by time, slice by slice', async () => {
      for (let n = 0; n < 6; n += 1) {
        const labels = { lane: n < 3 ? 'docs' : 'heavy', workflow: n % 2 === 0 ? 'even' : 'odd' };
        await store.save(draft(`${n}`, { ...labels, savedAt: NOW + n }), STATE);
      }
      const list = async (query: Parameters<CheckpointStore['list']>[0]) =>
        (await store.list(query)).records.map(({ id }) => id).join('');
      expect(await list({ limit: 9 })).toBe('543210');
      expect(await list({ limit: 9, lane: 'docs' })).toBe('210');
      expect(await list({ limit: 9, workflow: 'odd' })).toBe('531');
      expect(await list({ limit: 9, workflow: 'odd', lane: 'heavy' })).toBe('53');
      expect(await list({ limit: 9, since: NOW + 2, until: NOW + 4 })).toBe('432');
      const { next } = await store.list({ limit: 4 });
      expect(await list({ limit: 4, ...(next !== undefined && { after: next }) })).toBe('10');
    });

    it('cleans what is due, in slices, and nothing else', async () => {
      await Promise.all(Array.from({ length: 120 }, (_, n) => store.save(draft(`${n}`, { savedAt: NOW + n }), STATE)));
      await store.save(draft('expired', { savedAt: NOW + 999, expiresAt: NOW + 1_000 }), STATE);
      await store.mark('5', 'pinned');
      const rule = { now: NOW + 1_001, savedBefore: NOW + 100, keepLast: 0, mode: 'remove' } as const;
      let [removed, pinnedKept, slices] = [0, 0, 0];
      for (let from: Parameters<CheckpointStore['clean']>[1]; ; slices += 1) {
        const slice = await store.clean(rule, from);
        removed += slice.removed.length;
        pinnedKept += slice.pinnedKept;
        from = slice.next;
        if (from === undefined) break;
      }
      expect({ removed, pinnedKept }).toEqual({ removed: 100, pinnedKept: 1 });
      expect(slices).toBeGreaterThan(1);
      expect((await store.usage(NOW)).total).toMatchObject({ ids: 21, versions: 21, bytes: 63, oldest: NOW + 5 });
    });

    it('is off once it is closed', async () => {
      const saving = store.save(draft('id'), STATE);
      await store.close();
      await store.close();
      expect((await saving).outcome).toBe('saved');
      expect(store.state).toMatchObject({ state: 'off', reason: 'closed' });
      await expect(store.save(draft('id'), STATE)).rejects.toBeInstanceOf(Error);
    });
  });
}
