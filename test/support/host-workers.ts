import { appendFileSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LaneCacheOptions } from '../../lib/index.js';
import { seededRandom } from '../../lib/testing/seeded-random.js';
import type { Workshop } from './child-process.js';
import { FaultChild } from './fault-child.js';

/** What a stress counted. */
export interface StressResult {
  readonly gets: number;
  readonly changes: number;
  readonly kills: number;
  readonly stops: number;
  /** Answers that an invalidation or a set should have made impossible: it had resolved before the call was made. */
  readonly stale: readonly string[];
  /** Workers that ended although nobody had killed them. */
  readonly crashes: readonly string[];
}

export interface StressOptions {
  readonly directory: string;
  /** For the source of the values. */
  readonly scratch: string;
  readonly workers: number;
  /** The stress ends after so many answers. */
  readonly gets: number;
  readonly seed: number;
  /** Processes are killed and stopped, and bytes that are no record come into the log. */
  readonly disturbed?: boolean;
  readonly settings?: Partial<LaneCacheOptions>;
}

const KEYS = Array.from({ length: 12 }, (_, n) => `key:${n}`);
const CHANGES = [
  (key: string) => `await cache.invalidate('${key}')`,
  (key: string) => `await cache.invalidateByTag('of ${key}')`,
  (key: string) => `await cache.invalidateByPattern('${key}')`,
  (key: string, version: number) => `await cache.set('${key}', ${version}, { tags: ['of ${key}'] })`,
  () => 'await cache.clearAll()',
];

/**
 * Several processes on one directory. A driver changes the source of a value, lets one process invalidate it, and once that
 * has resolved asks the others: what they return must be at least as new.
 */
export class HostStress {
  private readonly latest = new Map(KEYS.map((key) => [key, 0]));
  private readonly required = new Map(KEYS.map((key) => [key, 0]));
  private readonly changing = new Set<string>();
  private readonly children: (FaultChild | undefined)[] = [];
  private readonly expected = new WeakSet<FaultChild>();
  private readonly stale: string[] = [];
  private readonly crashes: string[] = [];
  private gets = 0;
  private changes = 0;
  private kills = 0;
  private stops = 0;
  private readonly random: () => number;
  private readonly source: string;

  private constructor(
    private readonly workshop: Workshop,
    private readonly options: StressOptions,
  ) {
    this.random = seededRandom(options.seed);
    this.source = join(options.scratch, `source-${options.seed}`);
    mkdirSync(this.source, { recursive: true });
    for (const key of KEYS) this.writeSource(key, 0);
  }

  static async run(workshop: Workshop, options: StressOptions): Promise<StressResult> {
    const stress = new HostStress(workshop, options);
    const slots = Array.from({ length: options.workers }, (_, slot) => slot);
    await Promise.all(slots.map((slot) => stress.start(slot)));
    const disturbing = options.disturbed === true ? stress.disturb() : Promise.resolve();
    await Promise.all(slots.map((slot) => stress.drive(slot)));
    await disturbing;
    for (const child of stress.children) await child?.end('SIGKILL');
    const { gets, changes, kills, stops, stale, crashes } = stress;
    return { gets, changes, kills, stops, stale, crashes };
  }

  private get isOver(): boolean {
    return this.gets >= this.options.gets;
  }

  private pick<T>(from: readonly T[]): T {
    const picked = from[Math.floor(this.random() * from.length)];
    if (picked === undefined) throw new Error('there is nothing to pick from');
    return picked;
  }

  private async start(slot: number): Promise<void> {
    const { directory, settings } = this.options;
    const lanes = { standard: { l1: { maxEntries: 8 } } };
    this.children[slot] = await FaultChild.start(this.workshop, { directory, lanes, ...settings });
  }

  private async drive(slot: number): Promise<void> {
    while (!this.isOver) {
      const child = this.children[slot];
      if (child === undefined) return;
      try {
        await (this.random() < 0.25 ? this.change(child) : this.get(slot, child));
      } catch (error) {
        if (!this.expected.has(child)) {
          this.crashes.push(String(error));
          this.gets = Infinity;
          return;
        }
        await child.end();
        await this.start(slot);
      }
    }
  }

  private async get(slot: number, child: FaultChild): Promise<void> {
    const key = this.pick(KEYS);
    const required = this.required.get(key) ?? 0;
    const force = this.random() < 0.05 ? ', forceFresh: true' : '';
    const value: unknown = await child.ask(
      'run',
      `const { readFileSync } = process.getBuiltinModule('node:fs');
       const compute = async () => {
         const version = Number(readFileSync('${join(this.source, key)}', 'utf8'));
         await new Promise((resolve) => setTimeout(resolve, ${Math.floor(this.random() * 12)}));
         return version;
       };
       if (${this.random() < 0.3}) cache.getOrSet('${this.pick(KEYS)}x', compute).catch(() => undefined);
       return cache.getOrSet('${key}', compute, { tags: ['of ${key}']${force} });`,
    );
    this.gets++;
    if (typeof value === 'number' && value >= required) return;
    this.stale.push(`worker ${slot} answered ${JSON.stringify(value)} for ${key}, required was ${required}`);
  }

  /** One change of a key at a time: two sets of one key that race may end either way. */
  private async change(child: FaultChild): Promise<void> {
    const key = this.pick(KEYS);
    if (this.changing.has(key)) return;
    this.changing.add(key);
    try {
      const version = (this.latest.get(key) ?? 0) + 1;
      this.latest.set(key, version);
      this.writeSource(key, version);
      await child.ask('run', this.pick(CHANGES)(key, version));
      this.required.set(key, version);
      this.changes++;
    } finally {
      this.changing.delete(key);
    }
  }

  private writeSource(key: string, version: number): void {
    const path = join(this.source, key);
    writeFileSync(`${path}.new`, String(version));
    renameSync(`${path}.new`, path);
  }

  private async disturb(): Promise<void> {
    while (!this.isOver) {
      await new Promise((resolve) => setTimeout(resolve, 60 + this.random() * 240));
      const child = this.pick(this.children);
      if (child === undefined || child.child.hasEnded || this.isOver) continue;
      const what = this.random();
      if (what < 0.35) {
        this.expected.add(child);
        this.kills++;
        child.child.signal('SIGKILL');
      } else if (what < 0.75) {
        this.stops++;
        child.child.signal('SIGSTOP');
        await new Promise((resolve) => setTimeout(resolve, 50 + this.random() * 450));
        child.child.signal('SIGCONT');
      } else this.disturbLog();
    }
  }

  /** As a writer leaves it that was killed, or another program. */
  private disturbLog(): void {
    const folder = join(this.options.directory, 'log');
    const newest = readdirSync(folder)
      .filter((name) => name.endsWith('.log'))
      .map((name) => Number.parseInt(name, 10))
      .toSorted((a, b) => a - b)
      .at(-1);
    if (newest === undefined) return;
    const bytes = Array.from({ length: 1 + Math.floor(this.random() * 300) }, () => Math.floor(this.random() * 256));
    appendFileSync(join(folder, `${newest}.log`), Buffer.from(bytes));
  }
}
