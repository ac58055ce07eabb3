import type { EventSink } from '../../events/event-map.js';
import type { TierState } from '../../tiers/tier.js';

/** Stands among the codes of errors that were reported. */
const SILENT_NODE = 'silent node';

/** The state of L4. Reports each change of it, and between two changes each new refusal of the server once. */
export class TierStatus {
  private state: TierState = { state: 'off', reason: 'disconnected' };
  private hasReported = false;
  /** The codes of refusals that were reported since the state changed last. */
  private readonly refusals = new Set<string>();

  constructor(private readonly events: EventSink) {}

  get current(): TierState {
    return this.state;
  }

  /** Has no effect once the tier is closed. */
  turn(state: TierState, detail: string, error?: unknown): void {
    const { current } = this;
    if (current.reason === 'closed') return;
    const isChange = state.state !== current.state || state.reason !== current.reason || !this.hasReported;
    if (isChange) this.refusals.clear();
    const isNew = this.isNewRefusal(error);
    if (!isChange && !isNew) return;
    this.hasReported = true;
    this.state = state;
    this.report(detail, error);
  }

  /** The server has refused a command. That the connection was lost, or that it is late, is reported by `turn`. */
  refused(error: unknown): void {
    if (this.isNewRefusal(error)) this.report(`Redis refuses commands: ${String(error)}`, error);
  }

  /** A node with entries no longer answers in time, or does again. */
  nodeChanged(error: Error | undefined): void {
    if (error === undefined) this.refusals.delete(SILENT_NODE);
    else if (!this.refusals.has(SILENT_NODE)) {
      this.refusals.add(SILENT_NODE);
      this.report(`a node of the cluster does not answer: ${error.message}`, error);
    }
  }

  /** Whether the server, or TLS, gave a reason that was not reported since the last change. */
  private isNewRefusal(error: unknown): boolean {
    const code = error instanceof Error ? refusalOf(error) : undefined;
    if (code === undefined || this.refusals.has(code)) return false;
    this.refusals.add(code);
    return true;
  }

  private report(detail: string, error: unknown): void {
    this.events.emit('tier', { tier: 'l4', ...this.state, detail, ...(error !== undefined && { error }) });
  }
}

/** Codes of certificates that are not accepted, by either side. */
const OF_TLS = /^(?:ERR_SSL_|ERR_TLS_|(?!E)[A-Z]+_)/;

function refusalOf(error: Error): string | undefined {
  const ofServer = /^[A-Z]{3,}(?= )/.exec(error.message)?.[0];
  if (ofServer !== undefined) return ofServer;
  return 'code' in error && typeof error.code === 'string' && OF_TLS.test(error.code) ? error.code : undefined;
}
