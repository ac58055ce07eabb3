import { expect, it } from '@jest/globals';
import { PersistentTier } from '../../lib/tiers/persistent-tier.js';
import { Gate } from '../support/gate.js';
import { MemorySource } from '../support/memory-environment.js';
import { recordOf, tierSetting } from '../support/stored-tiers.js';

// An app that met the shared log at boot, while the place of the host's log was being written, emptied an empty L3 and
// started with the tier off.
it('a persistent tier is empty while rows of the log are written, and not while an entry or its removal is', async () => {
  const source = new MemorySource();
  const tier = await PersistentTier.open(source, tierSetting().options);
  const during = async (change: () => Promise<unknown>): Promise<boolean> => {
    const gate = new Gate();
    source.environment.gate = gate.whenOpen;
    const changed = change();
    await new Promise(setImmediate);
    const { isEmpty } = tier;
    gate.open();
    await changed;
    return isEmpty;
  };
  expect(await during(() => tier.append([{ row: 'place', generation: 'a', position: 1, checksum: 1 }]))).toBe(true);
  expect(await during(() => tier.append([{ row: 'cursor', generation: 'a', sequence: 1 }]))).toBe(true);
  expect(await during(() => tier.write('standard', recordOf('k')))).toBe(false);
  expect(tier.isEmpty).toBe(false);
  expect(await during(() => tier.remove('standard', 'k'))).toBe(false);
  expect(tier.isEmpty).toBe(true);
  await tier.close();
});
