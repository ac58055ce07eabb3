import type { CheckpointStatus } from '../checkpoints/checkpoint.js';
import { TIER_NAMES, type TierName } from '../entries/tier-name.js';
import type { LaneMetrics } from '../events/lane-metrics.js';
import type { HostReport, InstanceReport } from '../metrics/lane-cache-metrics.js';
import type { CommandContext } from './command-context.js';
import type { Terminal } from './terminal.js';
import {
  bytesText,
  countText,
  fittedTable,
  many,
  shown,
  shownMiddle,
  spanText,
  wrapped,
  type Column,
} from './texts.js';

/** `status`: who owns the directory, the processes, the instances, the tiers, and checkpoints in numbers. */
export async function status(context: CommandContext): Promise<void> {
  await context.with(async ({ operations, kind }) => {
    const all = await operations.status();
    const { lanes, host } = await operations.metrics();
    const instances = kind === 'live' ? await operations.instances() : [];
    const { lane } = context.options;
    const counts = lane === undefined ? all : ofLane(all, lane);
    const tiers = tierStates(Object.values(lanes).filter((one) => lane === undefined || one.lane === lane));
    const shownHost = kind === 'live' && host !== undefined ? { host } : {};
    const shownInstances = instances.length > 0 ? { instances } : {};
    if (kind === 'stored')
      context.terminal.note('No app runs on this directory: memory and the session disk are empty.');
    context.show({ ...counts, ...shownHost, ...shownInstances, tiers }, () =>
      [
        ...(kind === 'live' && host !== undefined ? [hostText(host, context.terminal)] : []),
        ...(instances.length > 0 ? [instancesText(instances, context.terminal)] : []),
        tiersText(tiers, context.terminal),
        statusText(counts, context.terminal),
      ].join('\n\n'),
    );
  });
}

/** Of each tier, in which state it is in which lanes. */
type TierStates = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;

function tierStates(lanes: readonly LaneMetrics[]): TierStates {
  const of = (tier: TierName): readonly (readonly [string, readonly string[]])[] => {
    const states = new Map<string, string[]>();
    for (const metrics of lanes) {
      const { state, reason } = metrics[tier];
      const name = state === 'on' ? 'on' : `off: ${reason ?? 'unknown'}`;
      states.set(name, [...(states.get(name) ?? []), metrics.lane]);
    }
    return [...states];
  };
  return Object.fromEntries(TIER_NAMES.map((tier) => [tier, Object.fromEntries(of(tier))]));
}

function tiersText(tiers: TierStates, { paint, columns }: Terminal): string {
  const rows = Object.entries(tiers).flatMap(([tier, states]) =>
    Object.entries(states).map(([state, lanes]) => [
      tier,
      paint(state === 'on' ? 'green' : state === 'off: policy' ? 'dim' : 'yellow', state),
      shown(lanes.join(', '), 200),
    ]),
  );
  return fittedTable(columns, [{ head: 'tier' }, { head: 'state' }, { head: 'lanes', least: 12 }], rows);
}

function hostText({ directory, role, processes, log }: HostReport, { paint, columns }: Terminal): string {
  const owner = processes.find((one) => one.role === 'owner');
  const owned = owner === undefined ? 'Nobody owns' : `Process ${owner.pid} owns`;
  const others = role === 'alone' ? 'It is alone.' : `${many(processes.length, 'process', 'processes')} share it.`;
  const behind = log.behindBytes > 0 ? ` ${bytesText(log.behindBytes)} of its log are still to be read.` : '';
  const head = wrapped(`${owned} ${paint('bold', `'${shown(directory, 200)}'`)}. ${others}${behind}`, columns);
  if (role === 'alone') return head;
  const rows = processes.map((one) => [
    one.pid,
    one.role,
    one.since,
    one.version === '' ? '-' : shown(one.version, 40),
  ]);
  return `${head}\n\n${fittedTable(columns, [{ head: 'process' }, { head: 'role' }, { head: 'since', leftOut: 2 }, { head: 'app version', leftOut: 1 }], rows)}`;
}

function instancesText(instances: readonly InstanceReport[], { paint, columns }: Terminal): string {
  const shared =
    instances.length === 1
      ? 'No other instance reports to the server.'
      : `${many(instances.length, 'instance')} share the server.`;
  const rows = instances.map(({ host, pid, isSelf, isConnected, lagMs, behind, reportedMs, version }) => [
    shownMiddle(host, 40),
    isSelf ? `${pid} (this)` : pid,
    isConnected ? paint('green', 'connected') : paint('yellow', 'disconnected'),
    spanText(lagMs),
    many(behind, 'record'),
    isSelf ? 'now' : `${spanText(reportedMs)} ago`,
    version === '' ? '-' : shown(version, 40),
  ]);
  return `${wrapped(shared, columns)}\n\n${fittedTable(columns, INSTANCE_COLUMNS, rows)}`;
}

const INSTANCE_COLUMNS: readonly Column[] = [
  { head: 'host', least: 8 },
  { head: 'process' },
  { head: 'state' },
  { head: 'lag' },
  { head: 'behind' },
  { head: 'reported', leftOut: 1 },
  { head: 'app version', leftOut: 2 },
];

function ofLane({ state, reason, lanes }: CheckpointStatus, lane: string): CheckpointStatus {
  const inLane = Object.hasOwn(lanes, lane) ? lanes[lane] : undefined;
  const counts = inLane ?? { cachedCheckpoints: 0, versions: 0, bytes: 0 };
  const named = inLane === undefined ? {} : { [lane]: inLane };
  return { ...counts, state, ...(reason !== undefined && { reason }), lanes: named };
}

function statusText(counts: CheckpointStatus, { paint, columns }: Terminal): string {
  const { state, reason, cachedCheckpoints, versions, bytes, lanes } = counts;
  const place = state === 'on' ? paint('green', 'on') : paint('yellow', `off: ${reason ?? 'unknown'}`);
  const head = `Checkpoints are ${place}. ${many(cachedCheckpoints, 'checkpoint')} in ${many(versions, 'version')}, ${bytesText(bytes)}.`;
  const rows = Object.entries(lanes).map(([lane, inLane]) => [
    lane,
    countText(inLane.cachedCheckpoints),
    countText(inLane.versions),
    bytesText(inLane.bytes),
    inLane.oldest ?? '-',
    inLane.newest ?? '-',
  ]);
  const text = wrapped(head, columns);
  return rows.length === 0 ? text : `${text}\n\n${fittedTable(columns, STATUS_COLUMNS, rows)}`;
}

const STATUS_COLUMNS: readonly Column[] = [
  { head: 'lane', least: 8 },
  { head: 'checkpoints' },
  { head: 'versions', leftOut: 1 },
  { head: 'size' },
  { head: 'oldest', leftOut: 2 },
  { head: 'newest' },
];
