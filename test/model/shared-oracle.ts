import { KeyPattern } from '../../lib/entries/pattern.js';

/** Within this, an instance that hears well has followed the others. */
export const BOUND_MS = 1_000;

/** One life of one instance. */
export interface Life {
  readonly instance: number;
  readonly bornAt: number;
  /** What its earlier lives said binds it: it has a disk. */
  readonly isDurable: boolean;
  /** As of which step it has followed the others since it last said that it is connected; undefined while it is not. */
  connectedAt: number | undefined;
  /** Whether it has ever been: before, nothing that outlived its last life is believed. */
  hasConnected: boolean;
  /** When its messages were last slow or lost. */
  spoiltMs: number;
}

export interface Value {
  readonly lane: string;
  readonly key: string;
  readonly startedAt: number;
  tags: readonly string[];
}

export interface SharedSaid {
  readonly by: Life;
  readonly kind: 'key' | 'tag' | 'pattern' | 'all' | 'set' | 'expire' | 'expire-tag';
  readonly lane: string | undefined;
  readonly subject: string;
  readonly calledAt: number;
  /** When the call came to an end. */
  settledAt: number;
  /** When it had resolved, which promises what is told to others and kept for later lives. */
  resolvedAt: number;
  /** When nothing of it was left to be told to the server. */
  told: { readonly at: number; readonly ms: number } | undefined;
}

export interface SharedCall {
  readonly life: Life;
  readonly lane: string;
  readonly key: string;
  readonly calledAt: number;
  readonly calledMs: number;
  readonly connectedAt: number | undefined;
  readonly spoiltMs: number;
  readonly hasConnected: boolean;
  /** Cut off for so long that nothing may be served from before. */
  readonly isStale: boolean;
}

/** What is promised of several instances, over plain lists. */
export class SharedOracle {
  readonly said: SharedSaid[] = [];
  private readonly values: Value[] = [];

  make(value: Value): { readonly made: number } {
    return { made: this.values.push(value) - 1 };
  }

  get(value: unknown): Value | undefined {
    if (typeof value !== 'object' || value === null || !('made' in value)) return undefined;
    return this.values[Number(value.made)];
  }

  say(said: Pick<SharedSaid, 'by' | 'kind' | 'lane' | 'subject' | 'calledAt'>): SharedSaid {
    const full = { ...said, settledAt: Infinity, resolvedAt: Infinity, told: undefined };
    this.said.push(full);
    return full;
  }

  /** What is wrong with the answer; undefined if nothing is. */
  judge(call: SharedCall, answer: unknown): string | undefined {
    const value = this.get(answer);
    const who = `${call.life.instance}: ${call.key}@${call.calledAt}`;
    if (value === undefined) return `P1 ${who} got something that nobody made`;
    if (value.lane !== call.lane || value.key !== call.key) return `P1 ${who} got the value of ${value.key}`;
    const got = `got what was started @${value.startedAt}`;
    if (call.isStale && value.startedAt < call.calledAt) return `STALE ${who} ${got}, while cut off for too long`;
    if (!call.hasConnected && value.startedAt < call.life.bornAt) return `BOOT ${who} ${got}, before it was connected`;
    for (const said of this.said) {
      if (value.startedAt >= said.calledAt || !names(said, value)) continue;
      const bond = binds(said, call);
      if (bond === undefined) continue;
      const { kind, subject, calledAt, settledAt, told } = said;
      return `P1 ${who} ${got}, ${kind} ${subject} of ${said.by.instance} called @${calledAt} ended @${settledAt} told @${told?.at}: ${bond}`;
    }
    return undefined;
  }
}

function binds(said: SharedSaid, call: SharedCall): string | undefined {
  const { life, calledAt, connectedAt } = call;
  if (said.by === life) return said.settledAt < calledAt ? 'said here' : undefined;
  if (said.by.instance === life.instance && life.isDurable && said.resolvedAt < life.bornAt) return 'said before';
  const { told } = said;
  if (told === undefined || said.resolvedAt >= calledAt || told.at >= calledAt || connectedAt === undefined)
    return undefined;
  if (told.at < connectedAt) return 'reconnected since';
  return call.calledMs - Math.max(told.ms, call.spoiltMs) > BOUND_MS ? 'connected' : undefined;
}

function names(said: SharedSaid, value: Value): boolean {
  if (said.lane !== undefined && said.lane !== value.lane) return false;
  switch (said.kind) {
    case 'all':
      return true;
    case 'tag':
    case 'expire-tag':
      return value.tags.includes(said.subject);
    case 'pattern':
      return new KeyPattern(said.subject).matchesEntry(value.key, value.tags);
    default:
      return said.subject === value.key;
  }
}
