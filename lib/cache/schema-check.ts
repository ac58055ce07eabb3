import { type Clock, type KeepAlive, withDeadline } from '../clock/clock.js';
import { isThenable } from '../clock/promises.js';
import type { ReportFault } from '../events/reasons.js';
import type { EncodedValue } from './encoded-value.js';

/** A validator of the Standard Schema kind (https://standardschema.dev). */
export interface StandardSchema {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    /** May be asynchronous. One that takes longer than a second accepts nothing. */
    readonly validate: (value: unknown) => unknown;
  };
}

/** What a check needs of its lane. */
export interface SchemaContext {
  readonly lane: string;
  readonly shared: { readonly clock: Clock; readonly hold: KeepAlive; readonly fault: ReportFault };
}

const DEADLINE_MS = 1_000;

/** The schema of one call. It judges each entry once, so that the verdict of an asynchronous validator can be awaited. */
export class SchemaCheck {
  private readonly verdicts = new WeakMap<object, boolean | Promise<boolean>>();

  constructor(
    private readonly context: SchemaContext,
    private readonly schema: StandardSchema,
  ) {}

  /**
   * Whether the value of an entry fits. A promise while an asynchronous validator is at work. A validator that throws,
   * rejects, does not answer within a second or answers what has no meaning accepts nothing, and is reported.
   */
  fits(entry: object, valueOf: () => EncodedValue): boolean | Promise<boolean> {
    let verdict = this.verdicts.get(entry);
    if (verdict === undefined) this.verdicts.set(entry, (verdict = this.judge(entry, valueOf)));
    return verdict;
  }

  private judge(entry: object, valueOf: () => EncodedValue): boolean | Promise<boolean> {
    const { clock, hold } = this.context.shared;
    try {
      const result = this.schema['~standard'].validate(valueOf().valueFor('clone'));
      if (!isThenable(result)) return this.accepts(result);
      const answer = withDeadline(clock, Promise.resolve(result), DEADLINE_MS, 'the validator');
      return hold.during(answer).then(
        (late) => this.settle(entry, () => this.accepts(late)),
        (error: unknown) => this.settle(entry, () => this.failed(error)),
      );
    } catch (error) {
      return this.failed(error);
    }
  }

  private settle(entry: object, judge: () => boolean): boolean {
    let verdict: boolean;
    try {
      verdict = judge();
    } catch (error) {
      verdict = this.failed(error);
    }
    this.verdicts.set(entry, verdict);
    return verdict;
  }

  private accepts(result: unknown): boolean {
    if (typeof result !== 'object' || result === null) return this.failed(undefined);
    return !('issues' in result) || result.issues === undefined;
  }

  private failed(error: unknown): false {
    const { lane, shared } = this.context;
    const detail = `A schema given in lane '${lane}' gave no result, and the stored value was not used.`;
    shared.fault({ collaborator: 'schema', lane, detail, error });
    return false;
  }
}
