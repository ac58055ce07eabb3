import { nextTurn } from '../../lib/clock/clock.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { SharedInstance } from '../model/shared-log/instance.js';
import { Jobs } from './jobs.js';
import { ModelNetwork } from './model-network.js';
import { ModelRedis } from './model-redis.js';

export const COMPUTE_MS = 40;
export const STEP_MS = 10;

/** An instance on a network that carries everything at once, until something is done to it. */
export class InstanceBench {
  readonly network: ModelNetwork;
  readonly reported: string[] = [];
  /** No message arrives any more. */
  isFrozen = false;
  private instance: SharedInstance | undefined;

  /** Instances that share a log have the same server and clock. */
  constructor(
    readonly clock = new FakeClock(),
    readonly server = new ModelRedis(() => clock.now()),
  ) {
    this.network = new ModelNetwork(server, clock);
  }

  get app(): SharedInstance['app'] {
    if (this.instance === undefined) throw new Error('not started');
    return this.instance.app;
  }

  async start(onDisconnect: 'serve' | 'bypass' = 'serve', coalesce: 'process' | 'cluster' = 'cluster'): Promise<this> {
    const { clock, network } = this;
    const life = {
      ...{ instance: 0, bornAt: 0, isDurable: false },
      connectedAt: undefined,
      hasConnected: false,
      spoiltMs: 0,
    };
    const policy = { onDisconnect, trustPersistence: false, coalesce } as const;
    this.instance = new SharedInstance(life, { clock, network, jobs: new Jobs(), disk: undefined, ...policy });
    this.app.events.on('tier', ({ tier, state, error }) => {
      this.reported.push(`${tier} ${state}${state === 'on' && error !== undefined ? ' but refused' : ''}`);
    });
    await this.pass(100);
    return this;
  }

  end(): void {
    this.instance?.kill();
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= STEP_MS) {
      await this.clock.advance(`${STEP_MS}ms`);
      await this.carry();
    }
  }

  /** Every message arrives, and its answer; no time passes. */
  async carry(): Promise<void> {
    await nextTurn();
    for (let step = this.next; step !== undefined; step = this.next) {
      step();
      await nextTurn();
    }
  }

  /** How long a cold key took, in ms. */
  async ask(key: string): Promise<number> {
    const askedAt = this.clock.monotonic();
    const state = { answeredAt: Infinity };
    const compute = (): Promise<string> =>
      new Promise((resolve) => this.clock.schedule(COMPUTE_MS, () => resolve('computed')));
    const answer = this.app.manager().getOrSet(key, compute);
    void answer.then(() => (state.answeredAt = this.clock.monotonic()));
    while (state.answeredAt === Infinity && this.clock.monotonic() - askedAt < 60_000) await this.pass(STEP_MS);
    if ((await answer) !== 'computed') throw new Error('something else was answered');
    return state.answeredAt - askedAt;
  }

  private get next(): (() => void) | undefined {
    return this.isFrozen ? undefined : this.network.steps[0];
  }
}
