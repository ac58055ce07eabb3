import {
  bondByServer,
  History,
  type Invalidation,
  type Made,
  type ServerCall,
  type ServerLife,
} from '../harness/oracle.js';

/** One life of one process. */
export interface Life extends ServerLife {
  readonly host: number;
}

export interface Call extends ServerCall {
  readonly life: Life;
  readonly key: string;
}

/** What is promised of the processes of several hosts. */
export class Oracle extends History<Made, Life> {
  /** What is wrong with the answer; undefined if nothing is. */
  judge(call: Call, answer: unknown): string | undefined {
    const made = this.get(answer);
    if (made?.key !== call.key) return `P3 ${call.key} came as ${JSON.stringify(answer)}`;
    for (const invalidation of this.since(made)) {
      const bond = binds(invalidation, call);
      if (bond === undefined) continue;
      const { kind, subject, by, calledAt, resolvedAt, published } = invalidation;
      return `P1 ${call.key} of ${made.startedAt} on host ${call.life.host} at ${call.calledAt}, after ${kind} ${subject} on host ${by.host} of ${calledAt} to ${resolvedAt}, published ${published?.at}: ${bond}`;
    }
    return undefined;
  }
}

function binds(invalidation: Invalidation<Life>, call: Call): string | undefined {
  const { life, calledAt } = call;
  if (invalidation.by === life) return invalidation.settledAt < calledAt ? 'called here' : undefined;
  if (invalidation.resolvedAt >= calledAt) return undefined;
  if (invalidation.by.host === life.host) return 'called on this host';
  return bondByServer(invalidation, call);
}
