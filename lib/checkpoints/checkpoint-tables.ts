import { createHash } from 'node:crypto';
import type { Environment, RangeOptions, TableKey } from '../storage/environment.js';
import type { CheckpointRecord } from './checkpoint-store.js';
import type { ReadFaults } from './read-faults.js';
import { SealedRow } from './sealed-row.js';
import { WatchedTable } from './watched-table.js';

/** Below LMDB's 16 MiB, from which on it hands out live memory instead of copies. Part of the format. */
export const PART_BYTES = 8 * 1024 * 1024;

export const FORMAT = 1;

/**
 * Ids and workflows as keys: of fixed length whatever the text, and distinct for lone surrogates, which UTF-8 would
 * turn into one and the same replacement.
 */
export const keyOf = (text: string): string => createHash('sha256').update(text, 'utf16le').digest('base64url');

/** Under which a version is listed; every lane and workflow has an order of its own, so that nothing is ever filtered. */
export type Scope = string;

export const EVERYTHING: Scope = 'all';
export const laneScope = (lane: string): Scope => `lane:${lane}`;
const flowScope = (flow: string): Scope => `flow:${flow}`;
const laneFlowScope = (lane: string, flow: string): Scope => `both:${lane}:${flow}`;

interface Labels {
  readonly lane?: string;
  readonly workflow?: string;
}

/** The one scope that holds exactly what has these labels. */
export function scopeOf({ lane, workflow }: Labels): Scope {
  if (workflow === undefined) return lane === undefined ? EVERYTHING : laneScope(lane);
  const flow = keyOf(workflow);
  return lane === undefined ? flowScope(flow) : laneFlowScope(lane, flow);
}

/** All scopes that a version with these labels belongs to. */
export function scopesOf({ lane, workflow }: { readonly lane: string; readonly workflow?: string }): readonly Scope[] {
  const always = [EVERYTHING, laneScope(lane)];
  if (workflow === undefined) return always;
  const flow = keyOf(workflow);
  return [...always, flowScope(flow), laneFlowScope(lane, flow)];
}

/** What an index row points to. */
export type Pointer = readonly [idKey: string, version: number];

/** What is known of an id, also after its last version was removed: a version is never used twice. */
export interface Head {
  /** The highest version ever used. */
  readonly counter: number;
  /** The highest version there is; 0 = none. */
  readonly newest: number;
  /** How many versions there are, by lane. */
  readonly lanes: Readonly<Record<string, number>>;
}

export interface UsageRow {
  readonly ids: number;
  readonly versions: number;
  readonly bytes: number;
}

export interface StoreRow {
  readonly format: number;
  readonly sequence: number;
}

export const STORE_KEY = 'store';

export const headRow = new SealedRow<Head>();
export const pointerRow = new SealedRow<Pointer>();
export const recordRow = new SealedRow<CheckpointRecord>();
export const storeRow = new SealedRow<StoreRow>();
export const usageRow = new SealedRow<UsageRow>();

/** The numbers behind the first part of a key. */
export const numbersOf = (key: TableKey): readonly number[] =>
  typeof key === 'object' ? key.slice(1).map(Number) : [];

/** The tables of the store and their keys. */
export class CheckpointTables {
  /** `store` -> StoreRow */
  readonly store: WatchedTable;
  /** idKey -> Head */
  readonly heads: WatchedTable;
  /** [idKey, version] -> CheckpointRecord */
  readonly versions: WatchedTable;
  /** [idKey, version, part] -> bytes */
  readonly states: WatchedTable;
  /** [scope, sequence] -> Pointer */
  readonly order: WatchedTable;
  /** [scope, savedAt, sequence] -> Pointer */
  readonly ages: WatchedTable;
  /** [scope, expiresAt, sequence] -> Pointer */
  readonly expiries: WatchedTable;
  /** [idKey, version] -> Pointer, of those known to be damaged */
  readonly damaged: WatchedTable;
  /** scope -> UsageRow */
  readonly usage: WatchedTable;

  /** `faults` hears what the environment reports. */
  constructor(environment: Environment, faults: ReadFaults) {
    const table = (name: string): WatchedTable => new WatchedTable(environment.table(name), faults);
    this.store = table('store');
    this.heads = table('heads');
    this.versions = table('versions');
    this.states = table('states');
    this.order = table('order');
    this.ages = table('ages');
    this.expiries = table('expiries');
    this.damaged = table('damaged');
    this.usage = table('usage');
  }
}

const LOWEST = Number.MIN_SAFE_INTEGER;
const HIGHEST = Number.MAX_SAFE_INTEGER;

/** Ranges whose ends lie between rows, so that it does not matter which end belongs to them. */
export const ranges = {
  versionsDown: (idKey: string, below: number = HIGHEST): RangeOptions => ({
    start: [idKey, below - 0.5],
    end: [idKey, 0],
    reverse: true,
  }),

  versionsUp: (idKey: string, above: number): RangeOptions => ({ start: [idKey, above + 0.5], end: [idKey, HIGHEST] }),

  parts: (idKey: string, version: number): RangeOptions => ({
    start: [idKey, version, -1],
    end: [idKey, version, HIGHEST],
  }),

  orderDown: (scope: Scope, before: number | undefined): RangeOptions => ({
    start: [scope, before === undefined ? HIGHEST : before - 0.5],
    end: [scope, 0],
    reverse: true,
  }),

  timesDown: (scope: Scope, from: number | undefined, to: readonly [time: number, sequence: number]): RangeOptions => ({
    start: [scope, to[0], to[1] - 0.5],
    end: [scope, from ?? LOWEST, 0],
    reverse: true,
  }),

  /** Strictly before `end`. */
  timesUp: (scope: Scope, after: readonly [time: number, sequence: number] | undefined, end: number): RangeOptions => ({
    start: after === undefined ? [scope, LOWEST, 0] : [scope, after[0], after[1] + 0.5],
    end: [scope, end, 0],
  }),
};

/** Later than every time there is. */
export const END_OF_TIME: readonly [time: number, sequence: number] = [HIGHEST, HIGHEST];
