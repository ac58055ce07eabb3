import type { EventSink } from './event-map.js';
import { causeText } from './event-texts.js';
import type { Collaborator, FaultCounts, ReportFault } from './reasons.js';

/** Counts and emits the faults of what the app handed in, and logs the first of each kind: each function that fails has a text of its own. */
export class Faults {
  private readonly counted: Record<Collaborator, number> = noFaults();

  constructor(
    private readonly events: EventSink,
    private readonly warnOnce: (subject: string, message: string) => void,
  ) {}

  get counts(): FaultCounts {
    return { ...this.counted };
  }

  readonly report: ReportFault = (fault) => {
    this.count(fault);
    const { collaborator, lane = '', detail, error } = fault;
    this.warnOnce(`fault:${collaborator}:${lane}:${detail}`, [detail, causeText(error)].filter(Boolean).join(' '));
  };

  /** The same, without a line in the log. */
  readonly count: ReportFault = (fault) => {
    this.counted[fault.collaborator]++;
    if (this.events.wants('fault')) this.events.emit('fault', fault);
  };
}

/** Counts that begin. */
export const noFaults = (): Record<Collaborator, number> => ({
  logger: 0,
  listener: 0,
  strategy: 0,
  schema: 0,
  migrate: 0,
  decorator: 0,
});
