import {
  bondByServer,
  History,
  type Invalidation,
  type Made,
  type ServerCall,
  type ServerLife,
} from '../harness/oracle.js';

/** One life of one instance. */
export interface Life extends ServerLife {
  readonly instance: number;
  readonly bornAt: number;
  /** It has a disk, so what its earlier lives have invalidated binds it. */
  readonly isDurable: boolean;
  /** Whether it has ever been: before, nothing that outlived its last life is believed. */
  hasConnected: boolean;
}

export interface Call extends ServerCall {
  readonly life: Life;
  readonly lane: string;
  readonly key: string;
  readonly hasConnected: boolean;
  /** Cut off for so long that nothing may be served from before. */
  readonly isStale: boolean;
}

/** What is promised of several instances. */
export class Oracle extends History<Made, Life> {
  /** What is wrong with the answer; undefined if nothing is. */
  judge(call: Call, answer: unknown): string | undefined {
    const value = this.get(answer);
    const who = `${call.life.instance}: ${call.key}@${call.calledAt}`;
    if (value === undefined) return `P1 ${who} got something that nobody made`;
    if (value.lane !== call.lane || value.key !== call.key) return `P1 ${who} got the value of ${value.key}`;
    const got = `got what was started @${value.startedAt}`;
    if (call.isStale && value.startedAt < call.calledAt) return `STALE ${who} ${got}, while cut off for too long`;
    if (!call.hasConnected && value.startedAt < call.life.bornAt) return `BOOT ${who} ${got}, before it was connected`;
    for (const invalidation of this.since(value)) {
      const bond = binds(invalidation, call);
      if (bond === undefined) continue;
      const { kind, subject, calledAt, settledAt, published } = invalidation;
      return `P1 ${who} ${got}, ${kind} ${subject} of ${invalidation.by.instance} called @${calledAt} ended @${settledAt} published @${published?.at}: ${bond}`;
    }
    return undefined;
  }
}

function binds(invalidation: Invalidation<Life>, call: Call): string | undefined {
  const { life, calledAt } = call;
  const { by, settledAt, resolvedAt } = invalidation;
  if (by === life) return settledAt < calledAt ? 'called here' : undefined;
  if (by.instance === life.instance && life.isDurable && resolvedAt < life.bornAt) return 'called before';
  return bondByServer(invalidation, call);
}
