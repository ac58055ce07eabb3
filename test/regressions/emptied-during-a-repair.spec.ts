import { expect, it } from '@jest/globals';
import { nextTurn } from '../../lib/clock/clock.js';
import type { EntryStore } from '../../lib/storage/entries/entry-store.js';
import { StorageFault, type Environment } from '../../lib/storage/environment.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { StoreSupervisor } from '../../lib/tiers/store-supervisor.js';
import { Gate } from '../support/gate.js';

it('a tier that is emptied while it is being repaired after a full disk serves again, from an empty folder', async () => {
  const clock = new FakeClock();
  const gates: Gate[] = [];
  const reported: string[] = [];
  let discarded = 0;
  const environment = { close: () => Promise.resolve() } as unknown as Environment;
  const supervisor = new StoreSupervisor({
    tier: 'l3',
    clock,
    events: {
      wants: () => true,
      emit: (name, event) => void reported.push([name, 'state' in event ? event.state : ''].join(' ')),
    },
    admit: async () => {
      await gates.shift()?.whenOpen;
      return { stop: () => [], flush: () => Promise.resolve() } as unknown as EntryStore;
    },
    failed: () => undefined,
  });
  await supervisor.attach({
    open: () => Promise.resolve(environment),
    discard: async () => void discarded++,
  });
  supervisor.fail(new StorageFault('disk-full', 'no room'));
  expect(supervisor.tierSwitch.state).toEqual({ state: 'off', reason: 'disk-full' });
  const opening = new Gate();
  gates.push(opening);
  await clock.advance('1s');
  const emptied = supervisor.empty();
  opening.open();
  await emptied;
  await clock.advance('2m');
  for (let turn = 0; turn < 5; turn++) await nextTurn();
  expect(supervisor.tierSwitch.state).toEqual({ state: 'on' });
  expect(supervisor.store).toBeDefined();
  expect(discarded).toBeGreaterThan(0);
  expect(reported).toEqual(['tier off', 'tier on']);
});
