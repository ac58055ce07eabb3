import type { CheckpointSettings } from '../../lib/checkpoints/checkpoint-saver.js';
import { CheckpointService } from '../../lib/checkpoints/checkpoint-service.js';
import { LocalCheckpointStore } from '../../lib/checkpoints/local/local-checkpoint-store.js';
import { ValueCodec } from '../../lib/entries/codec/value-codec.js';
import type { EventSink, LaneCacheEventMap, LaneCacheEventName } from '../../lib/events/event-map.js';
import { ReadFaults } from '../../lib/checkpoints/local/checkpoint-tables.js';
import type { Environment } from '../../lib/storage/environment.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { MemoryEnvironment } from './checkpoint-environment.js';

/** Hears everything and keeps it. */
export class HeardEvents implements EventSink {
  private readonly heard: { readonly name: LaneCacheEventName; readonly event: object }[] = [];

  wants(): boolean {
    return true;
  }

  emit<N extends LaneCacheEventName>(name: N, event: LaneCacheEventMap[N]): void {
    this.heard.push({ name, event });
  }

  of<N extends LaneCacheEventName>(name: N): LaneCacheEventMap[N][] {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- emitted under its own name
    return this.heard.filter((one) => one.name === name).map(({ event }) => event as LaneCacheEventMap[N]);
  }
}

export interface CheckpointBench {
  readonly service: CheckpointService;
  readonly store: LocalCheckpointStore;
  readonly clock: FakeClock;
  readonly events: HeardEvents;
}

/** A service over `environment`, on a clock that stands still. */
export function checkpointsOver<E extends Environment>(
  environment: E,
  settings: Partial<CheckpointSettings> = {},
  faults: ReadFaults = new ReadFaults(),
): CheckpointBench & { readonly environment: E } {
  const clock = new FakeClock();
  const events = new HeardEvents();
  const store = new LocalCheckpointStore(environment, { clock, events, faults });
  const service = new CheckpointService({
    store: () => store,
    codec: new ValueCodec(),
    clock,
    events,
    lanes: ['docs', 'standard', 'heavy'],
    defaultLane: 'standard',
    ...settings,
  });
  return { service, store, clock, events, environment };
}

export const checkpointsInMemory = (
  settings: Partial<CheckpointSettings> = {},
): CheckpointBench & { readonly environment: MemoryEnvironment } => {
  const faults = new ReadFaults();
  const environment = new MemoryEnvironment((detail) => faults.note('damaged', detail, new Error(detail)));
  return checkpointsOver(environment, settings, faults);
};

/** Two processes that share one store. */
export const twoProcesses = (): ReturnType<typeof checkpointsInMemory> & { readonly other: CheckpointService } => {
  const first = checkpointsInMemory();
  const { clock, events, store } = first;
  return { ...first, other: checkpointsInMemory({ clock, events, store: () => store }).service };
};

/** Lets the calls under way go as far as they can. */
export const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** Lets the clock go on, in small steps, while the calls under way go as far as they can. */
export const pass = async (clock: FakeClock, ms: number, stepMs = 100): Promise<void> => {
  for (let passed = 0; passed < ms; passed += stepMs) {
    await settle();
    await clock.advance(`${stepMs}ms`);
  }
  await settle();
};
