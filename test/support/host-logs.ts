import { LifeClock, systemClock } from '../../lib/clock/clock.js';
import { HostLog } from '../../lib/invalidation/host-log.js';

type Options = ConstructorParameters<typeof HostLog>[0];

/** The log of a directory, of a process that does not own L3. */
export function logBesideTheOwner(options: Pick<Options, 'folder'> & Partial<Options>): HostLog {
  const { clock = systemClock } = options;
  return new HostLog({
    ...{ clock, life: new LifeClock(clock), journal: () => undefined, ownsL3: () => false, changed: () => undefined },
    ...options,
  });
}
