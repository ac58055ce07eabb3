import { History, type Made } from '../harness/oracle.js';
import type { HostProcess } from './process.js';

/** What the promise says. All processes of a directory are one to it. */
export class Oracle extends History<Made, HostProcess> {
  /** What is wrong with a caller's getting this value; undefined if nothing is. */
  judge(key: string, calledAt: number, value: unknown): string | undefined {
    const made = this.get(value);
    if (made?.key !== key) return `P3 ${key} came as ${JSON.stringify(value)}`;
    const broken = this.since(made).find(({ resolvedAt }) => resolvedAt < calledAt);
    if (broken === undefined) return undefined;
    const { kind, subject, calledAt: invalidatedAt, resolvedAt } = broken;
    return `P1 ${key} of ${made.startedAt} at ${calledAt}, after ${kind} ${subject} of ${invalidatedAt} to ${resolvedAt}`;
  }
}
