import { describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../lib/clock/clock.js';
import type { EntryStore } from '../../lib/storage/entries/entry-store.js';
import { StorageFault, type Environment } from '../../lib/storage/environment.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { StoreSupervisor } from '../../lib/tiers/store-supervisor.js';
import { DiskTier } from '../../lib/tiers/stored-tier.js';
import { Gate } from '../support/gate.js';
import { MemorySource } from '../support/memory-environment.js';
import { RecordingEvents, recordOf, tierSetting } from '../support/stored-tiers.js';

const afterMicrotasks = async (count: number): Promise<void> => {
  for (let n = 0; n < count; n++) await Promise.resolve();
};

const setUp = async () => {
  const setting = tierSetting();
  const source = new MemorySource();
  return { ...setting, source, tier: await DiskTier.open(source, setting.options) };
};

describe('a tier that is emptied again', () => {
  // At the first of these steps the tier has just been turned on, and the first call has not settled yet.
  it.each(Array.from({ length: 10 }, (_, steps) => steps))(
    'serves, from a folder that was emptied once more: %i microtasks after it has begun to serve',
    async (steps) => {
      let discarded = 0;
      let served: () => void = () => undefined;
      const supervisor = new StoreSupervisor({
        tier: 'l2',
        clock: new FakeClock(),
        events: new RecordingEvents(),
        serving: () => served(),
        admit: async () => ({ stop: () => [] }) as unknown as EntryStore,
        failed: () => undefined,
      });
      const environment = { close: () => Promise.resolve() } as unknown as Environment;
      await supervisor.attach({ open: async () => environment, discard: async () => void discarded++ });
      const again = new Promise<void>((resolve, reject) => {
        served = () => {
          served = () => undefined;
          void afterMicrotasks(steps).then(() => supervisor.empty().then(resolve, reject));
        };
      });
      await Promise.all([supervisor.empty(), again]);
      expect(discarded).toBe(2);
      expect([supervisor.tierSwitch.state, supervisor.store !== undefined]).toEqual([{ state: 'on' }, true]);
    },
  );

  // Under a steady load of invalidations it was emptied over and over, each of them waited for all that came before, and it stayed off.
  it('while it opens the emptied folder, is empty already', async () => {
    const gates: Gate[] = [];
    let discarded = 0;
    const events = new RecordingEvents();
    const supervisor = new StoreSupervisor({
      tier: 'l3',
      clock: new FakeClock(),
      events,
      admit: async () => {
        await gates.shift()?.whenOpen;
        return { stop: () => [] } as unknown as EntryStore;
      },
      failed: () => undefined,
    });
    const environment = { close: () => Promise.resolve() } as unknown as Environment;
    await supervisor.attach({ open: async () => environment, discard: async () => void discarded++ });
    const opening = new Gate();
    gates.push(opening);
    const emptied = supervisor.empty();
    await nextTurn();
    await Promise.all([supervisor.empty(), supervisor.empty()]);
    expect([discarded, supervisor.isVacant, supervisor.store]).toEqual([1, true, undefined]);
    opening.open();
    await emptied;
    expect([discarded, supervisor.isVacant, supervisor.store !== undefined]).toEqual([1, false, true]);
    expect(events.states).toEqual([]);
  });

  it('many times in one step, waits once for a full disk', async () => {
    const { tier, source, clock, events } = await setUp();
    source.environment.fault = new StorageFault('disk-full', 'no space');
    await expect(tier.write('standard', recordOf('k'))).rejects.toMatchObject({ kind: 'disk-full' });
    await Promise.all([tier.discard(), tier.discard(), tier.discard()]);
    expect(events.states).toEqual(['off disk-full']);
    await clock.advance('1s');
    expect(events.states).toEqual(['off disk-full', 'on']);
  });

  it('after it was closed, leaves the folder to its next owner', async () => {
    const { tier, source } = await setUp();
    await tier.write('standard', recordOf('k'));
    await tier.close();
    await expect(tier.discard()).rejects.toBeInstanceOf(StorageFault);
    await nextTurn();
    expect(source.discarded).toBe(0);
  });
});
