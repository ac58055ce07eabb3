import type { Clock } from '../clock/clock.js';
import type { CheckpointStatus } from '../checkpoints/checkpoint.js';
import type { Finding } from '../errors/finding.js';
import type { LaneMetrics } from '../events/lane-metrics.js';
import type { Operations } from '../operations/operations.js';

/** One state of all numbers, as event streams carry it: no key, tag, path or id. */
export interface NumbersFrame {
  readonly at: number;
  readonly lanes: Readonly<Record<string, Omit<LaneMetrics, 'policy'>>>;
  readonly checkpoints: CheckpointStatus;
  readonly findings: readonly Pick<Finding, 'lane' | 'code' | 'severity'>[];
}

/** Receives frames until it leaves. */
export interface NumbersListener {
  readonly frame: (json: string) => void;
  /** No more frames come: the app closes. */
  readonly ended: () => void;
}

const EVERY_MS = 2_000;
/** The doctor looks at the disk too. */
const DOCTOR_EVERY_MS = 30_000;
const MOST_LISTENERS = 100;

/** The numbers of an app as they change. They are read once for all listeners, and only while there are some. */
export class LiveNumbers {
  private readonly listeners = new Set<NumbersListener>();
  private findings: NumbersFrame['findings'] = [];
  private diagnosedAt = -Infinity;
  private cancel: (() => void) | undefined;
  private isClosed = false;

  constructor(
    private readonly operations: Pick<Operations, 'metrics' | 'status' | 'doctor'>,
    readonly clock: Clock,
  ) {}

  /** Returns the function that leaves; undefined if the app closes, or has as many listeners as it serves. */
  listen(listener: NumbersListener): (() => void) | undefined {
    if (this.isClosed || this.listeners.size >= MOST_LISTENERS) return undefined;
    this.listeners.add(listener);
    void this.sendTo([listener]);
    this.cancel ??= this.plan();
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size > 0) return;
      this.cancel?.();
      this.cancel = undefined;
    };
  }

  /** Ends all streams. Nest calls it before the server that carries them closes. */
  onModuleDestroy(): void {
    this.isClosed = true;
    this.cancel?.();
    for (const { ended } of this.listeners) ended();
    this.listeners.clear();
  }

  private plan(): () => void {
    return this.clock.schedule(EVERY_MS, () => {
      void this.sendTo([...this.listeners]);
      this.cancel = this.plan();
    });
  }

  /** Never rejects: a frame that cannot be made is left out. */
  private async sendTo(listeners: readonly NumbersListener[]): Promise<void> {
    try {
      const json = JSON.stringify(await this.frame());
      for (const listener of listeners) if (this.listeners.has(listener)) listener.frame(json);
    } catch {
      // the next frame is as good
    }
  }

  private async frame(): Promise<NumbersFrame> {
    const [report, checkpoints] = await Promise.all([this.operations.metrics(), this.operations.status()]);
    await this.diagnose();
    // Policies do not change, and JSON leaves out what is undefined.
    const lanes = Object.entries(report.lanes).map(([lane, metrics]) => [lane, { ...metrics, policy: undefined }]);
    return { at: this.clock.now(), lanes: Object.fromEntries(lanes), checkpoints, findings: this.findings };
  }

  private async diagnose(): Promise<void> {
    if (this.clock.monotonic() - this.diagnosedAt < DOCTOR_EVERY_MS) return;
    this.diagnosedAt = this.clock.monotonic();
    const found = await this.operations.doctor();
    this.findings = found.map(({ lane, code, severity }) => ({ ...(lane !== undefined && { lane }), code, severity }));
  }
}
