import type { Clock } from '../clock/clock.js';
import type { InstanceReport, SharedReport } from '../metrics/lane-cache-metrics.js';
import type { Connection } from './client/connection.js';
import { listOf, numberOf, Script, textsOf } from './client/redis-client.js';
import type { KeySpace } from './keys.js';

/** What an instance says about itself once. */
export type InstanceIdentity = Pick<InstanceReport, 'host' | 'pid' | 'version' | 'since'>;

interface InstancesOptions {
  readonly keys: KeySpace;
  readonly clock: Clock;
  /** Distinguishes this instance from all others. */
  readonly id: string;
  readonly connection: () => Connection | undefined;
  /** How this instance follows the log now. */
  readonly own: () => SharedReport;
}

/** Rare, because no answer depends on it. */
const REPORT_EVERY_MS = 5_000;
const REPORT_WITHIN_MS = 1_000;
/** A killed instance is listed for so long. */
const KEPT_MS = 60_000;

/** The instances of the app, as each reports itself to the server. */
export class Instances {
  private identity: InstanceIdentity | undefined;
  private cancel: (() => void) | undefined;

  constructor(private readonly options: InstancesOptions) {}

  /** Reports now, and every 5 s until `leave`. */
  announce(identity: InstanceIdentity): void {
    this.identity = identity;
    this.report();
  }

  /** This instance, then the others by host and process. While the server does not answer, this one alone. */
  async list(): Promise<readonly InstanceReport[]> {
    const { identity } = this;
    if (identity === undefined) return [];
    const { host, pid, version, since } = identity;
    const { isConnected, lagMs, behind } = this.options.own();
    const self = { host, pid, version, since, isConnected, lagMs, behind, isSelf: true, reportedMs: 0 };
    const others = await this.others().catch(() => []);
    const byPlace = (a: InstanceReport, b: InstanceReport): number =>
      a.host < b.host ? -1 : a.host > b.host ? 1 : a.pid - b.pid;
    return [self, ...others.toSorted(byPlace)];
  }

  /** Removes this instance from the list. */
  async leave(): Promise<void> {
    this.cancel?.();
    this.cancel = undefined;
    if (this.identity === undefined) return;
    this.identity = undefined;
    const { keys, id, connection } = this.options;
    await connection()
      ?.command(['HDEL', keys.instances, id])
      .catch(() => undefined);
  }

  private report(): void {
    const { clock, keys, id, connection, own } = this.options;
    this.cancel = clock.schedule(REPORT_EVERY_MS, () => this.report());
    const reader = connection()?.reader;
    if (reader === undefined || this.identity === undefined) return;
    const row = JSON.stringify({ ...this.identity, ...own() });
    // On the connection that follows the log: a late answer there says nothing about commands. What is lost is sent anew.
    REPORT.run(reader, [keys.instances], [id, row, `${KEPT_MS}`], REPORT_WITHIN_MS).catch(() => undefined);
  }

  private async others(): Promise<readonly InstanceReport[]> {
    const { keys, id, connection } = this.options;
    const [time, rows] = listOf(await connection()?.run(LIST, [keys.instances], []));
    const now = numberOf(time);
    const flat = textsOf(rows);
    const found: InstanceReport[] = [];
    for (let at = 0; at + 1 < flat.length; at += 2) {
      const report = readRow(flat[at + 1] ?? '', now);
      if (flat[at] !== id && report !== undefined && report.reportedMs < KEPT_MS) found.push(report);
    }
    return found;
  }
}

/** What is no report is left out: others write to the server as well. */
function readRow(row: string, now: number): InstanceReport | undefined {
  const [, at = '', json = ''] = /^(\d+) (.*)$/s.exec(row) ?? [];
  const { host, pid, version, since, lagMs, behind, isConnected } = fieldsOf(json);
  if (typeof host !== 'string' || typeof version !== 'string' || typeof since !== 'string') return undefined;
  if (typeof pid !== 'number' || typeof lagMs !== 'number' || typeof behind !== 'number') return undefined;
  const reportedMs = Math.max(0, now - Number(at));
  return { host, pid, version, since, isConnected: isConnected === true, lagMs, behind, isSelf: false, reportedMs };
}

function fieldsOf(json: string): Partial<Record<keyof InstanceReport, unknown>> {
  try {
    const parsed: unknown = JSON.parse(json);
    return typeof parsed === 'object' && parsed !== null ? parsed : {};
  } catch {
    return {};
  }
}

/** KEYS: instances. ARGV: id, row, ms that rows are kept. The first report of an instance removes the rows of those that ended. */
const REPORT = new Script(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then redis.call('DEL', KEYS[1]) end
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  local rows = redis.call('HGETALL', KEYS[1])
  for i = 1, #rows, 2 do
    local at = tonumber(string.match(rows[i + 1], '^%d+') or 0)
    if now - at > tonumber(ARGV[3]) then redis.call('HDEL', KEYS[1], rows[i]) end
  end
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d ', now) .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`);

/** KEYS: instances. -> [time of the server, ids and rows] */
const LIST = new Script(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then return { now, {} } end
return { now, redis.call('HGETALL', KEYS[1]) }`);
