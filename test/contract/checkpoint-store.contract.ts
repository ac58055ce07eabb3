import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type {
  CheckpointDraft,
  CheckpointStore,
  CleanupRule,
  ListQuery,
} from '../../lib/checkpoints/checkpoint-store.js';

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
      expect(await store.history('id', Infinity)).toHaveLength(50);
      expect(await store.versions('id')).toEqual(Array.from({ length: 50 }, (_, n) => 50 - n));
    });

    it('lets exactly one of two writers with the same expected version win', async () => {
      for (const expected of [0, 1, 2, 3]) {
        const outcomes = await Promise.all(
          [1, 2, 3].map(() => store.save(draft('id'), STATE, { expectedVersion: expected })),
        );
        expect(outcomes.filter(({ outcome }) => outcome === 'saved')).toHaveLength(1);
        expect(outcomes).toContainEqual({ outcome: 'conflict', cause: 'version', currentVersion: expected + 1 });
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
      expect(await store.save(draft('id'), STATE, { expectedVersion: 0 })).toMatchObject({ record: { version: 5 } });
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

    it('names a next page only where there is one', async () => {
      for (const id of 'abcd') await store.save(draft(id), STATE);
      for (const query of [{}, { since: NOW }, { lane: 'standard' }]) {
        const first = await store.list({ ...query, limit: 2 });
        const second = await store.list({ ...query, limit: 2, ...(first.next && { after: first.next }) });
        expect([...first.records, ...second.records].map(({ id }) => id).join('')).toBe('dcba');
        expect(second.next).toBeUndefined();
      }
    });

    it('lists no further than asked, also where many rows match', async () => {
      await Promise.all(Array.from({ length: 100 }, (_, n) => store.save(draft(`${n}`, { savedAt: NOW + n }), STATE)));
      const { records, next } = await store.list({ since: NOW + 10, until: NOW + 89, limit: 200 });
      expect(records.map(({ id }) => id)).toEqual(Array.from({ length: 80 }, (_, n) => `${89 - n}`));
      expect(next).toBeUndefined();
    });

    it('counts lanes that are named as what objects inherit', async () => {
      const lanes = ['constructor', 'toString', '__proto__'];
      for (const lane of [...lanes, ...lanes]) await store.save(draft('a', { lane }), STATE);
      await store.remove('a', 1);
      const { total, lanes: byLane } = await store.usage(NOW);
      expect(total).toMatchObject({ ids: 1, versions: 5 });
      expect(Object.entries(byLane).map(([lane, { ids, versions }]) => [lane, ids, versions])).toEqual(
        expect.arrayContaining([
          ['constructor', 1, 1],
          ['toString', 1, 2],
          ['__proto__', 1, 2],
        ]),
      );
    });

    it('cleans what is due, in slices, and nothing else', async () => {
      await Promise.all(Array.from({ length: 120 }, (_, n) => store.save(draft(`${n}`, { savedAt: NOW + n }), STATE)));
      await store.save(draft('expired', { savedAt: NOW + 999, expiresAt: NOW + 1_000 }), STATE);
      await store.mark('5', 'pinned');
      const rule = {
        now: NOW + 1_001,
        savedBefore: NOW + 100,
        keepLast: 0,
        keepUnfinished: false,
        mode: 'remove',
      } as const;
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

    const cleanAll = async (rule: Partial<CleanupRule>): Promise<readonly string[]> => {
      const all = { now: NOW, savedBefore: NOW, keepLast: 0, keepUnfinished: false, mode: 'remove', ...rule } as const;
      const removed: string[] = [];
      for (let from: Parameters<CheckpointStore['clean']>[1]; ;) {
        const slice = await store.clean(all, from);
        removed.push(...slice.removed.map(({ record, reason }) => `${record.id}@${record.version} ${reason}`));
        from = slice.next;
        if (from === undefined) return removed.toSorted();
      }
    };

    describe('a cleanup', () => {
      it('says why each version goes, and removes the same as it names in a dry run', async () => {
        const old = { savedAt: NOW - 9 };
        for (const id of ['a', 'a', 'b']) await store.save(draft(id, old), STATE);
        await store.save(draft('ttl', { ...old, expiresAt: NOW - 1 }), STATE);
        const due = ['a@1 too-old', 'b@1 too-old', 'ttl@1 expired'];
        expect(await cleanAll({ keepLast: 1, mode: 'dry-run' })).toEqual(['ttl@1 expired', 'a@1 too-old'].toSorted());
        expect(await cleanAll({ mode: 'dry-run' })).toEqual([...due, 'a@2 too-old'].toSorted());
        expect(await cleanAll({})).toEqual([...due, 'a@2 too-old'].toSorted());
      });

      it('keeps the newest version of each id of a workflow until it is finished', async () => {
        const old = { savedAt: NOW - 9 };
        for (const id of ['a', 'a', 'b']) await store.save(draft(id, { ...old, workflow: 'w' }), STATE);
        await store.save(draft('free', old), STATE);
        await store.save(draft('other', { ...old, workflow: 'x' }), STATE);
        await store.finish('x');
        const gone = ['a@1 too-old', 'free@1 too-old', 'other@1 too-old'];
        expect(await cleanAll({ keepUnfinished: true })).toEqual(gone);
        expect(await cleanAll({ keepUnfinished: true })).toEqual([]);
        await store.finish('w');
        expect(await cleanAll({ keepUnfinished: true })).toEqual(['a@2 too-old', 'b@1 too-old']);
      });

      it('keeps them again after a save reopened the workflow, and lets go what its ttl has ended', async () => {
        const old = { savedAt: NOW - 9, workflow: 'w' };
        await store.save(draft('a', old), STATE);
        await store.save(draft('a', { ...old, expiresAt: NOW - 1 }), STATE);
        await store.finish('w');
        await store.save(draft('b', old), STATE);
        expect(await cleanAll({ keepUnfinished: true })).toEqual(['a@2 expired']);
        expect(await store.versions('a')).toEqual([1]);
      });

      it('keeps a version that is intact rather than a newer one that is damaged', async () => {
        const old = { savedAt: NOW - 9, workflow: 'w' };
        for (let n = 0; n < 3; n += 1) await store.save(draft('a', old), STATE);
        await store.mark('a', 'damaged');
        expect(await cleanAll({ keepUnfinished: true })).toEqual(['a@1 too-old']);
        expect(await cleanAll({ keepLast: 1 })).toEqual([]);
      });
    });

    describe('a save that trims', () => {
      const trim = { keepVersions: 2, keepUnfinished: false };

      it('removes older versions in the same step, but for pinned ones, and uses no version twice', async () => {
        for (let n = 0; n < 3; n += 1) await store.save(draft('a', { savedAt: NOW + n }), STATE);
        await store.mark('a', 'pinned', 1);
        expect(await store.save(draft('a'), STATE, { trim })).toMatchObject({ record: { version: 4 }, trimmed: [2] });
        expect(await store.versions('a')).toEqual([4, 3, 1]);
        expect(await store.save(draft('a'), STATE, { trim })).toMatchObject({ record: { version: 5 }, trimmed: [3] });
        expect((await store.usage(NOW)).total).toMatchObject({ versions: 3, bytes: 9 });
      });

      it('does not count newer ones that are pinned', async () => {
        for (let n = 0; n < 5; n += 1) await store.save(draft('a'), STATE);
        for (const version of [4, 5]) await store.mark('a', 'pinned', version);
        await store.save(draft('a'), STATE, { trim });
        expect(await store.versions('a')).toEqual([6, 5, 4, 3]);
      });

      it('does not count what has expired or is damaged', async () => {
        await store.save(draft('a'), STATE);
        await store.save(draft('a', { expiresAt: NOW - 1 }), STATE);
        await store.save(draft('a'), STATE);
        await store.mark('a', 'damaged');
        await store.save(draft('a'), STATE, { trim });
        expect(await store.read('a', { version: 1 })).toMatchObject({ outcome: 'found' });
      });

      it('keeps the newest version of another workflow that is not finished', async () => {
        const keep = { keepVersions: 1, keepUnfinished: true };
        for (const workflow of ['one', 'one', 'two']) await store.save(draft('a', { workflow }), STATE, { trim: keep });
        expect(await store.versions('a')).toEqual([3, 2]);
        await store.finish('one');
        await store.save(draft('a', { workflow: 'two' }), STATE, { trim: keep });
        expect(await store.versions('a')).toEqual([4]);
      });
    });

    describe('a save that trims many', () => {
      const trim = { keepVersions: 2, keepUnfinished: false };

      it('removes the oldest first, and the others at the next saves', async () => {
        await Promise.all(Array.from({ length: 100 }, () => store.save(draft('a'), STATE)));
        const saved = await store.save(draft('a'), STATE, { trim });
        const trimmed = saved.outcome === 'saved' ? (saved.trimmed ?? []) : [];
        expect(trimmed.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 64 }, (_, n) => n + 1));
        await store.save(draft('a'), STATE, { trim });
        expect(await store.versions('a')).toEqual([102, 101]);
      });

      it('passes over pinned ones, however many', async () => {
        const pinned = Array.from({ length: 260 }, (_, n) => n + 1);
        await Promise.all(pinned.map(() => store.save(draft('a'), STATE)));
        await Promise.all(pinned.map((version) => store.mark('a', 'pinned', version)));
        for (let n = 0; n < 5; n += 1) await store.save(draft('a'), STATE, { trim });
        expect((await store.versions('a')).slice(0, 3)).toEqual([265, 264, 260]);
      });
    });

    describe('a workflow that is invalidated', () => {
      it('is gone at once, though it is removed in slices, and what is saved meanwhile stays', async () => {
        const ids = Array.from({ length: 150 }, (_, n) => `${n}`);
        await Promise.all(ids.map((id) => store.save(draft(id, { workflow: 'w' }), STATE)));
        const { removed, next } = await store.invalidateWorkflow('w');
        expect(removed.length).toBeLessThan(150);
        expect(await store.read('149', { asOf: NOW })).toEqual({ outcome: 'absent' });
        expect(await store.read('149', { version: 1 })).toEqual({ outcome: 'absent' });
        expect(await store.history('149', 9)).toEqual([]);
        expect((await store.list({ workflow: 'w', limit: 9 })).records).toEqual([]);
        const start = await store.begin('149', 'w', NOW);
        expect(start).toEqual({ currentVersion: 0, epoch: 1 });
        const conditions = { expectedVersion: 0, epoch: start.epoch };
        for (let upTo = next; upTo !== undefined;) {
          await store.save(draft('149', { workflow: 'w' }), STATE, conditions);
          upTo = (await store.invalidateWorkflow('w', upTo)).next;
        }
        expect((await store.list({ limit: 9 })).records.map(({ id, version }) => [id, version])).toEqual([['149', 2]]);
        expect(await store.begin('149', 'w', NOW)).toEqual({ currentVersion: 2, epoch: 1 });
      });

      const invalidate = async (workflow: string): Promise<number> => {
        let removed = 0;
        for (let upTo: number | undefined; ;) {
          const slice = await store.invalidateWorkflow(workflow, upTo);
          removed += slice.removed.length;
          upTo = slice.next;
          if (upTo === undefined) return removed;
        }
      };

      it('has no version left, pinned or not, and others keep theirs', async () => {
        const ids = Array.from({ length: 150 }, (_, n) => `${n}`);
        await Promise.all(ids.map((id) => store.save(draft(id, { workflow: 'w' }), STATE)));
        await store.mark('7', 'pinned');
        await store.save(draft('7', { workflow: 'other' }), STATE);
        await store.save(draft('free'), STATE);
        expect(await invalidate('w')).toBe(150);
        expect((await store.list({ workflow: 'w', limit: 9 })).records).toEqual([]);
        expect((await store.list({ limit: 9 })).records.map(({ id, version }) => `${id}@${version}`)).toEqual([
          'free@1',
          '7@2',
        ]);
        expect((await store.usage(NOW)).total).toMatchObject({ ids: 2, versions: 2 });
      });

      it('stays gone while it is removed by two calls, of which the earlier one ends first', async () => {
        const saveAll = async (): Promise<void> => {
          const ids = Array.from({ length: 150 }, (_, n) => `${n}`);
          await Promise.all(ids.map((id) => store.save(draft(id, { workflow: 'w' }), STATE)));
        };
        await saveAll();
        const { next: first } = await store.invalidateWorkflow('w');
        await saveAll();
        const { next: second } = await store.invalidateWorkflow('w');
        for (let upTo = first; upTo !== undefined;) upTo = (await store.invalidateWorkflow('w', upTo)).next;
        expect((await store.list({ workflow: 'w', limit: 9 })).records).toEqual([]);
        expect(await store.read('149', { asOf: NOW })).toEqual({ outcome: 'absent' });
        for (let upTo = second; upTo !== undefined;) upTo = (await store.invalidateWorkflow('w', upTo)).next;
        expect((await store.usage(NOW)).total).toMatchObject({ ids: 0, versions: 0 });
      });

      it('removes also what was saved in the same turn', async () => {
        const saving = [1, 2].map((n) => store.save(draft(`${n}`, { workflow: 'w' }), STATE));
        const slice = store.invalidateWorkflow('w');
        await Promise.all(saving);
        expect((await slice).removed).toHaveLength(2);
      });

      it('takes no result of a step that began before, and that of one that begins after', async () => {
        const before = await store.begin('a', 'w', NOW);
        await invalidate('w');
        const { epoch } = before;
        expect(await store.save(draft('a', { workflow: 'w' }), STATE, { epoch })).toMatchObject({
          outcome: 'conflict',
          cause: 'workflow',
        });
        const after = await store.begin('a', 'w', NOW);
        expect(await store.save(draft('a', { workflow: 'w' }), STATE, { epoch: after.epoch })).toMatchObject({
          outcome: 'saved',
          record: { version: 1 },
        });
        expect(await store.save(draft('a', { workflow: 'v' }), STATE, { epoch: 0 })).toMatchObject({
          outcome: 'saved',
        });
      });
    });

    describe('a step', () => {
      it('begins at the newest version that has not expired', async () => {
        expect(await store.begin('a', undefined, NOW)).toEqual({ currentVersion: 0, epoch: 0 });
        await store.save(draft('a'), STATE);
        await store.save(draft('a', { expiresAt: NOW - 1 }), STATE);
        expect(await store.begin('a', 'w', NOW)).toEqual({ currentVersion: 1, epoch: 0 });
        expect(await store.save(draft('a'), STATE, { expectedVersion: 1 })).toMatchObject({ outcome: 'saved' });
      });

      it('has its lease until it releases it or saves', async () => {
        const ask = (action: 'take' | 'extend' | 'release', token: string) => store.lease({ action, id: 'a', token });
        expect(await ask('take', 'one')).toEqual({ isHeld: true });
        expect(await ask('take', 'one')).toEqual({ isHeld: true });
        const refused = await ask('take', 'two');
        expect(refused).toEqual({ isHeld: false, leftMs: expect.any(Number) });
        expect(!refused.isHeld && refused.leftMs).toBeGreaterThan(0);
        await ask('release', 'two');
        expect(await ask('extend', 'one')).toEqual({ isHeld: true });
        expect(await ask('extend', 'two')).toMatchObject({ isHeld: false });
        expect(await store.lease({ action: 'take', id: 'b', token: 'two' })).toEqual({ isHeld: true });
        await ask('release', 'one');
        expect(await ask('take', 'two')).toEqual({ isHeld: true });
        expect(await store.save(draft('a'), STATE, { lease: 'one' })).toMatchObject({
          outcome: 'conflict',
          cause: 'lease',
        });
        expect(await store.save(draft('a'), STATE, { lease: 'two' })).toMatchObject({ outcome: 'saved' });
        expect(await ask('take', 'three')).toEqual({ isHeld: true });
      });

      it('keeps its lease through the saves within it, which are refused once it is gone', async () => {
        const within = { id: 'a', token: 'one' } as const;
        const refused = { outcome: 'conflict', cause: 'lease', currentVersion: 1 };
        await store.lease({ action: 'take', id: 'a', token: 'one' });
        expect(await store.save(draft('b'), STATE, { within })).toMatchObject({ outcome: 'saved' });
        expect(await store.lease({ action: 'extend', id: 'a', token: 'one' })).toEqual({ isHeld: true });
        expect(await store.save(draft('b'), STATE, { within: { id: 'a', token: 'two' } })).toEqual(refused);
        await store.lease({ action: 'release', id: 'a', token: 'one' });
        expect(await store.save(draft('b'), STATE, { within })).toEqual(refused);
        expect(await store.save(draft('b'), STATE, { within: { id: 'a', token: '' } })).toEqual(refused);
      });
    });

    describe('a listing by labels', () => {
      const list = async (query: Omit<ListQuery, 'limit'>, limit = 3): Promise<string> => {
        let found = '';
        for (let after: ListQuery['after']; ;) {
          const slice = await store.list({ ...query, limit, ...(after !== undefined && { after }) });
          found += slice.records.map(({ id }) => id).join('');
          after = slice.next;
          if (after === undefined) return found;
        }
      };

      it('finds the versions that have all of them, newest first, in the order of saving and by time', async () => {
        for (let n = 0; n < 9; n += 1) {
          const labels = [n % 2 === 0 ? 'even' : 'odd', n % 3 === 0 ? 'three' : 'not', 'all'];
          const lane = n < 5 ? 'docs' : 'heavy';
          await store.save(draft(`${n}`, { labels, lane, workflow: 'w', savedAt: NOW + ((n * 5) % 9) }), STATE);
        }
        expect(await list({ labels: ['even'] })).toBe('86420');
        expect(await list({ labels: ['all', 'three', 'even'] })).toBe('60');
        expect(await list({ labels: ['odd', 'not'], lane: 'heavy' })).toBe('75');
        expect(await list({ labels: ['odd'], lane: 'docs', workflow: 'w' })).toBe('31');
        expect(await list({ labels: ['none'] })).toBe('');
        expect(await list({ labels: ['even'], since: NOW })).toBe('68024'.split('').toSorted(byTime).join(''));
        expect(await list({ labels: ['even', 'not'], since: NOW + 2, until: NOW + 4 })).toBe('84');
        await store.remove('4');
        expect(await list({ labels: ['even'] })).toBe('8620');
      });

      const byTime = (one: string, other: string): number => ((Number(other) * 5) % 9) - ((Number(one) * 5) % 9);
    });

    it('is off once it is closed', async () => {
      const saving = store.save(draft('id'), STATE);
      await store.close();
      expect(store.state).toMatchObject({ state: 'off', reason: 'closed' });
      await store.close();
      expect((await saving).outcome).toBe('saved');
      expect(store.state).toMatchObject({ state: 'off', reason: 'closed' });
      await expect(store.save(draft('id'), STATE)).rejects.toBeInstanceOf(Error);
    });
  });
}
