import type { CheckpointInfo } from '../checkpoints/checkpoint.js';
import { UnknownLaneError } from '../errors/cache.errors.js';
import type { HostReport, InstanceReport } from '../metrics/lane-cache-metrics.js';
import type { Operations } from '../operations/operations.js';
import {
  readCleanup,
  readClear,
  readFork,
  readHistory,
  readInvalidation,
  readKey,
  readPage,
  readSearch,
  readTop,
  readVersion,
  readWorkflow,
} from './operation-input.js';

/** What an asker may do: `open` sees numbers; `guarded` sees keys and acts, behind guards; `peek` sees values too. */
export type Role = 'open' | 'guarded' | 'peek';

const RANKS: Readonly<Record<Role, number>> = { open: 0, guarded: 1, peek: 2 };

/** What a POST did. */
export interface OperationResult {
  /** Absent for tags, which reach all lanes, and for checkpoints. */
  readonly lane?: string;
  /** How many were removed; absent where they are not counted. */
  readonly removed?: number;
  /** Whether there was what the action names; absent where that is not known. */
  readonly found?: boolean;
}

/** One endpoint: where it is, who may ask, and what it answers. */
export interface OperationRoute {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** The least role that may ask. For others the route does not exist. */
  readonly needs: Role;
  /** One sentence. */
  readonly summary: string;
  /** Names of the fields of the query, or of the body. */
  readonly input: readonly string[];
  /** For the role `open`: numbers and codes only, and no key, tag, path or id. */
  readonly answer: (app: Operations, input: unknown, role: Role) => Promise<unknown>;
}

type Answer = OperationRoute['answer'];

const get = (path: string, needs: Role, summary: string, input: readonly string[], answer: Answer): OperationRoute => {
  return { method: 'GET', path, needs, summary, input, answer };
};
const post: typeof get = (...row) => ({ ...get(...row), method: 'POST' });

const KEY = ['key', 'lane'];
const TARGET = ['key', 'pattern', 'tags', 'lane'];
const VERSION = ['id', 'version'];
const PAGE = ['workflow', 'lane', 'since', 'until', 'after', 'limit'];
const SEARCH = ['pattern', 'lane', 'tag', 'tier', 'after', 'limit'];
const FORK = ['from', 'to', 'version', 'workflow', 'lane'];
const AS_GET = 'As GET, for keys that are longer than a URL may be.';

/** All endpoints of the operations: the controllers, the dashboard and their OpenAPI description are made from them. */
export const OPERATION_ROUTES: readonly OperationRoute[] = [
  get('metrics', 'open', 'The counters of all lanes, or of one.', ['lane'], metrics),
  get(
    'host',
    'open',
    'The processes that share the directory, and how far this one follows their log.',
    [],
    hostReport,
  ),
  get(
    'instances',
    'open',
    'The instances that share the server, and how far each follows the invalidations of the others.',
    [],
    instanceReports,
  ),
  get('doctor', 'open', 'What is wrong. Without guards only codes of findings.', ['lane'], doctor),
  get(
    'checkpoints',
    'open',
    'Checkpoints in numbers. Behind guards a page of them, newest first, too.',
    PAGE,
    checkpoints,
  ),
  get(
    'checkpoints/history',
    'guarded',
    'The versions of an id, or of all ids of a workflow, newest first.',
    ['id', 'workflow'],
    history,
  ),
  get('checkpoints/state', 'peek', 'A checkpoint with its state.', VERSION, async (app, query) => {
    const { id, version } = readVersion(query);
    return (await app.checkpoint(id, version)) ?? {};
  }),
  get('keys', 'guarded', 'A page of the stored entries.', SEARCH, (app, query) => app.search(readSearch(query))),
  get(
    'top',
    'guarded',
    'The entries of a lane that saved the most time, are the largest, or are used most.',
    ['by', 'lane'],
    top,
  ),
  get('explain', 'guarded', 'Why a key is served or not, and what the next call would do.', KEY, explain),
  get('value', 'peek', 'The value that would be served.', KEY, value),
  post('explain', 'guarded', AS_GET, KEY, explain),
  post('value', 'peek', AS_GET, KEY, value),
  post('preview', 'guarded', 'What an invalidation would reach.', TARGET, (app, body) => {
    return app.preview(readInvalidation(body));
  }),
  post('clear', 'guarded', 'Removes all entries of a lane.', ['lane'], clear),
  post(
    'invalidate',
    'guarded',
    'Invalidates a key, what matches a pattern, or what carries a tag.',
    TARGET,
    invalidate,
  ),
  post(
    'cleanup',
    'guarded',
    'Removes old checkpoints, or with dryRun names those that it would remove.',
    ['maxAgeDays', 'dryRun'],
    cleanup,
  ),
  post(
    'workflows/invalidate',
    'guarded',
    'Removes all of a workflow, so that it starts anew.',
    ['workflow'],
    removeWorkflow,
  ),
  post(
    'workflows/finish',
    'guarded',
    'Marks a workflow as done, so that its states may go.',
    ['workflow'],
    finishWorkflow,
  ),
  post('checkpoints/remove', 'guarded', 'Removes one version of a checkpoint, or all.', VERSION, async (app, body) => {
    const { id, version } = readVersion(body);
    return { removed: await app.removeCheckpoint(id, version) };
  }),
  post(
    'checkpoints/pin',
    'guarded',
    'Excludes a version, or the newest, from every cleanup.',
    VERSION,
    async (app, body) => {
      const { id, version } = readVersion(body);
      return { found: await app.pinCheckpoint(id, version) };
    },
  ),
  post('checkpoints/unpin', 'guarded', 'Undoes a pin, of one version or of all.', VERSION, async (app, body) => {
    const { id, version } = readVersion(body);
    return { found: await app.unpinCheckpoint(id, version) };
  }),
  post('checkpoints/fork', 'guarded', 'Begins a new id with the state of another.', FORK, (app, body) => {
    const { from, to, ...options } = readFork(body);
    return app.forkCheckpoint(from, to, options);
  }),
];

/** The routes that exist for a role. */
export const routesFor = (role: Role): readonly OperationRoute[] =>
  OPERATION_ROUTES.filter(({ needs }) => RANKS[needs] <= RANKS[role]);

/** The method of the controllers: `GET checkpoints/history` -> `getCheckpointsHistory`. */
export const methodOf = ({ method, path }: OperationRoute): string =>
  method.toLowerCase() + path.replaceAll(/(^|\/)(\w)/g, (_, __, letter: string) => letter.toUpperCase());

async function metrics(app: Operations, query: unknown, role: Role): Promise<object> {
  const { lanes, host, ...rest } = await app.metrics();
  const lane = laneIn(query);
  if (lane === undefined) return { ...rest, lanes, ...(host !== undefined && { host: hostFor(host, role) }) };
  const found = Object.entries(lanes).find(([name]) => name === lane)?.[1];
  if (found === undefined) throw new UnknownLaneError(lane, Object.keys(lanes));
  return found;
}

async function hostReport(app: Operations, _query: unknown, role: Role): Promise<object> {
  return hostFor((await app.metrics()).host, role) ?? {};
}

async function instanceReports(app: Operations, _query: unknown, role: Role): Promise<object> {
  return { items: (await app.instances()).map((one) => instanceFor(one, role)) };
}

/** What is no text, such as a list, is the name of no lane. */
function laneIn(query: unknown): string | undefined {
  const { lane }: { readonly lane?: unknown } = Object(query);
  return lane === undefined || typeof lane === 'string' ? lane : '';
}

/** Without guards without the path, and without the ids of processes. */
function hostFor(host: HostReport | undefined, role: Role): object | undefined {
  if (host === undefined || role !== 'open') return host;
  return {
    role: host.role,
    processes: host.processes.map(({ role: of, since, version }) => ({ role: of, since, version })),
    log: host.log,
  };
}

/** Without guards without the names of hosts, and without the ids of processes. */
function instanceFor({ host, pid, ...rest }: InstanceReport, role: Role): object {
  return role === 'open' ? rest : { host, pid, ...rest };
}

async function doctor(app: Operations, query: unknown, role: Role): Promise<object> {
  const findings = await app.doctor(laneIn(query));
  if (role !== 'open') return { findings };
  return {
    findings: findings.map(({ lane: of, code, severity }) => ({
      ...(of !== undefined && { lane: of }),
      code,
      severity,
    })),
  };
}

async function checkpoints(app: Operations, query: unknown, role: Role): Promise<object> {
  const status = await app.status();
  if (role === 'open') return status;
  const page = status.state === 'on' ? await app.checkpoints(readPage(query)) : { items: [] };
  return { ...status, ...page };
}

async function history(app: Operations, query: unknown): Promise<{ readonly items: readonly CheckpointInfo[] }> {
  return { items: await app.history(readHistory(query)) };
}

function top(app: Operations, query: unknown): Promise<object> {
  const { by, lane } = readTop(query);
  return app.top(by, lane);
}

function explain(app: Operations, input: unknown): Promise<object> {
  const { key, lane } = readKey(input);
  return app.explain(key, lane);
}

async function value(app: Operations, input: unknown): Promise<object> {
  const { key, lane } = readKey(input);
  return (await app.value(key, lane)) ?? {};
}

async function clear(app: Operations, body: unknown): Promise<OperationResult> {
  const lane = readClear(body).lane ?? (await app.describe()).defaultLane;
  await app.clear(lane);
  return { lane };
}

async function removeWorkflow(app: Operations, body: unknown): Promise<OperationResult> {
  return { removed: await app.invalidateWorkflow(readWorkflow(body)) };
}

async function finishWorkflow(app: Operations, body: unknown): Promise<OperationResult> {
  await app.finishWorkflow(readWorkflow(body));
  return {};
}

async function invalidate(app: Operations, body: unknown): Promise<OperationResult> {
  const target = readInvalidation(body);
  if ('tags' in target) {
    await app.invalidateTags(target.tags);
    return {};
  }
  const lane = target.lane ?? (await app.describe()).defaultLane;
  const removed =
    'key' in target
      ? Number(await app.invalidateKey(target.key, lane))
      : await app.invalidatePattern(target.pattern, lane);
  return { lane, removed };
}

function cleanup(app: Operations, body: unknown): Promise<object> {
  return app.cleanup(readCleanup(body));
}
