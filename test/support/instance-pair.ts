import { nextTurn } from '../../lib/clock/clock.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { type InstanceSettings, SharedDisk, SharedInstance } from '../model/shared-log/instance.js';
import { Jobs } from './jobs.js';
import { ModelNetwork } from './model-network.js';
import { ModelRedis } from './model-redis.js';

/** Two instances over one server, each with a way to it of its own. */
export class InstancePair {
  readonly clock = new FakeClock();
  readonly server = new ModelRedis(() => this.clock.now());
  readonly networks = [new ModelNetwork(this.server, this.clock), new ModelNetwork(this.server, this.clock)] as const;
  readonly disk = new SharedDisk();
  /** Whose messages rest where they are. */
  readonly held = new Set<ModelNetwork>();
  private readonly jobs = new Jobs();
  private living: readonly SharedInstance[] = [];

  constructor(private readonly policy: Partial<Pick<InstanceSettings, 'coalesce' | 'commandTimeoutMs'>> = {}) {}

  /** The first has a disk. */
  start(at: 0 | 1): SharedInstance {
    const life = { instance: at, bornAt: 0, isDurable: at === 0 };
    const { clock, jobs } = this;
    const policy = { onDisconnect: 'serve', trustPersistence: false, coalesce: 'process', ...this.policy } as const;
    const instance = new SharedInstance(
      { ...life, connectedAt: undefined, hasConnected: false, spoiltMs: 0 },
      { clock, jobs, network: this.networks[at], disk: at === 0 ? this.disk : undefined, ...policy },
    );
    this.living = [...this.living, instance];
    return instance;
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 20) {
      await this.clock.advance('20ms');
      await this.settle();
    }
  }

  async settle(): Promise<void> {
    for (;;) {
      await nextTurn();
      const [step] = this.networks.filter((one) => !this.held.has(one)).flatMap(({ steps }) => steps);
      if (step === undefined) break;
      step();
    }
    this.jobs.run(0);
    for (const { l3 } of this.living) while ((l3?.queued ?? 0) > 0) l3?.commit();
    await nextTurn();
  }

  /** What a call comes to while messages and time go on. */
  async during<T>(call: Promise<T>): Promise<T> {
    let isOver = false;
    const over = (): void => void (isOver = true);
    call.then(over, over);
    for (let n = 0; !isOver && n < 500; n++) await this.pass(20);
    return call;
  }

  end(): void {
    for (const instance of this.living) if (instance.isAlive) instance.kill();
  }
}
