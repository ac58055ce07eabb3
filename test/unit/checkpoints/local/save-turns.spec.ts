import { describe, expect, it } from '@jest/globals';
import type { SaveOutcome } from '../../../../lib/checkpoints/checkpoint-store.js';
import { SaveTurns } from '../../../../lib/checkpoints/local/local-checkpoint-store.js';
import { nextTurn } from '../../../../lib/clock/clock.js';
import { FakeClock } from '../../../../lib/testing/fake-clock.js';

/** One id whose version only the turns guard. */
function setUp() {
  const clock = new FakeClock();
  const turns = new SaveTurns(clock);
  const store = { version: 0, by: [] as string[] };
  const outcomeOf = (outcome: 'saved' | 'conflict'): SaveOutcome =>
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the turns look at the outcome alone
    ({ outcome, currentVersion: store.version }) as SaveOutcome;
  const callers = new Map<string, object>();
  const callerOf = (name: string): object => {
    const caller = callers.get(name) ?? { name };
    callers.set(name, caller);
    return caller;
  };
  const save = (name: string, expected: number): Promise<SaveOutcome> =>
    turns.take('id', callerOf(name), async () => {
      if (expected !== store.version) return outcomeOf('conflict');
      store.version++;
      store.by.push(name);
      return outcomeOf('saved');
    });
  return { clock, turns, store, save };
}

const turnsOf = async (count = 5): Promise<void> => {
  for (let n = 0; n < count; n++) await nextTurn();
};

describe('saves that expect a version', () => {
  it('run at once while nobody has met a conflict', async () => {
    const { clock, store, save } = setUp();
    await save('a', 0);
    await save('b', 1);
    expect(store.by).toEqual(['a', 'b']);
    expect(clock.pending).toBe(0);
  });

  it('wait for the one that met a conflict, which then wins', async () => {
    const { store, save } = setUp();
    await save('owner', 0);
    expect((await save('other', 0)).outcome).toBe('conflict');
    const owner = save('owner', 1);
    await turnsOf();
    expect(store.by).toEqual(['owner']);
    expect((await save('other', 1)).outcome).toBe('saved');
    expect((await owner).outcome).toBe('conflict');
    expect((await save('owner', 2)).outcome).toBe('saved');
    expect(store.by).toEqual(['owner', 'other', 'owner']);
  });

  it('wait no longer than the turn lasts, when the other does not save again', async () => {
    const { clock, store, save } = setUp();
    await save('owner', 0);
    await save('other', 0);
    const owner = save('owner', 1);
    await clock.advance('25ms');
    expect((await owner).outcome).toBe('saved');
    expect(store.version).toBe(2);
    expect(clock.pending).toBe(0);
  });

  it('are served in the turn of their process, and all but one have to read again', async () => {
    const { store, save } = setUp();
    await save('owner', 0);
    await save('other', 0);
    const many = [1, 1, 1].map((expected) => save('owner', expected));
    const third = save('third', 1);
    await save('other', 1);
    const outcomes = await Promise.all(many);
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['conflict', 'conflict', 'conflict']);
    await save('owner', 2);
    expect((await third).outcome).toBe('conflict');
    await save('third', 3);
    expect(store.by).toEqual(['owner', 'other', 'owner', 'third']);
  });

  it('share the wins of a tight race, however many saves one of the processes makes at a time', async () => {
    const { clock, store, save } = setUp();
    let racing = 10;
    const race = async (name: string, slowness: number): Promise<void> => {
      while (store.version < 300) {
        const read = store.version;
        await turnsOf(slowness);
        await save(name, read);
      }
      racing--;
    };
    const all = [...Array.from({ length: 8 }, () => race('owner', 1)), race('b', 3), race('c', 4)];
    // Who stops racing leaves a turn open.
    for (; racing > 0; await turnsOf(50)) if (store.version >= 300) await clock.advance('25ms');
    await Promise.all(all);
    const winsOf = (name: string): number => store.by.filter((by) => by === name).length;
    const wins = ['owner', 'b', 'c'].map(winsOf);
    expect(Math.max(...wins) / Math.min(...wins)).toBeLessThan(3);
  });

  it('go on after one that fails', async () => {
    const { clock, turns, save, store } = setUp();
    await save('owner', 0);
    await save('other', 0);
    const failing = turns.take('id', {}, () => Promise.reject(new Error('the disk is full')));
    const waiting = save('third', 2);
    await save('other', 1);
    await expect(failing).rejects.toThrow('the disk is full');
    await clock.advance('25ms');
    expect((await waiting).outcome).toBe('saved');
    expect(store.by).toEqual(['owner', 'other', 'third']);
  });
});
