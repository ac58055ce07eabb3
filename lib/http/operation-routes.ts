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

const KEY = ['key', 'lane'];
const TARGET = ['key', 'pattern', 'tags', 'lane'];
const VERSION = ['id', 'version'];

/** All endpoints of the operations: the controllers, the dashboard and their OpenAPI description are made from them. */
export const OPERATION_ROUTES: readonly OperationRoute[] = [
  {
    method: 'GET',
    path: 'metrics',
    needs: 'open',
    summary: 'The counters of all lanes, or of one.',
    input: ['lane'],
    answer: metrics,
  },
  {
    method: 'GET',
    path: 'host',
    needs: 'open',
    summary: 'The processes that share the directory, and how far this one follows their log.',
    input: [],
    answer: async (app, _, role) => hostFor((await app.metrics()).host, role) ?? {},
  },
  {
    method: 'GET',
    path: 'instances',
    needs: 'open',
    summary: 'The instances that share the server, and how far each follows the invalidations of the others.',
    input: [],
    answer: async (app, _, role) => ({ items: (await app.instances()).map((one) => instanceFor(one, role)) }),
  },
  {
    method: 'GET',
    path: 'doctor',
    needs: 'open',
    summary: 'What is wrong. Without guards only codes of findings.',
    input: ['lane'],
    answer: doctor,
  },
  {
    method: 'GET',
    path: 'checkpoints',
    needs: 'open',
    summary: 'Checkpoints in numbers. Behind guards a page of them, newest first, too.',
    input: ['workflow', 'lane', 'since', 'until', 'after', 'limit'],
    answer: checkpoints,
  },
  {
    method: 'GET',
    path: 'checkpoints/history',
    needs: 'guarded',
    summary: 'The versions of an id, or of all ids of a workflow, newest first.',
    input: ['id', 'workflow'],
    answer: async (app, query): Promise<{ readonly items: readonly CheckpointInfo[] }> => ({
      items: await app.history(readHistory(query)),
    }),
  },
  {
    method: 'GET',
    path: 'checkpoints/state',
    needs: 'peek',
    summary: 'A checkpoint with its state.',
    input: VERSION,
    answer: async (app, query) => {
      const { id, version } = readVersion(query);
      return (await app.checkpoint(id, version)) ?? {};
    },
  },
  {
    method: 'GET',
    path: 'keys',
    needs: 'guarded',
    summary: 'A page of the stored entries.',
    input: ['pattern', 'lane', 'tag', 'tier', 'after', 'limit'],
    answer: (app, query) => app.search(readSearch(query)),
  },
  {
    method: 'GET',
    path: 'top',
    needs: 'guarded',
    summary: 'The entries of a lane that saved the most time, are the largest, or are used most.',
    input: ['by', 'lane'],
    answer: (app, query) => {
      const { by, lane } = readTop(query);
      return app.top(by, lane);
    },
  },
  {
    method: 'GET',
    path: 'explain',
    needs: 'guarded',
    summary: 'Why a key is served or not, and what the next call would do.',
    input: KEY,
    answer: explain,
  },
  {
    method: 'GET',
    path: 'value',
    needs: 'peek',
    summary: 'The value that would be served.',
    input: KEY,
    answer: value,
  },
  {
    method: 'POST',
    path: 'explain',
    needs: 'guarded',
    summary: 'As GET, for keys that are longer than a URL may be.',
    input: KEY,
    answer: explain,
  },
  {
    method: 'POST',
    path: 'value',
    needs: 'peek',
    summary: 'As GET, for keys that are longer than a URL may be.',
    input: KEY,
    answer: value,
  },
  {
    method: 'POST',
    path: 'preview',
    needs: 'guarded',
    summary: 'What an invalidation would reach.',
    input: TARGET,
    answer: (app, body) => app.preview(readInvalidation(body)),
  },
  {
    method: 'POST',
    path: 'clear',
    needs: 'guarded',
    summary: 'Removes all entries of a lane.',
    input: ['lane'],
    answer: clear,
  },
  {
    method: 'POST',
    path: 'invalidate',
    needs: 'guarded',
    summary: 'Invalidates a key, what matches a pattern, or what carries a tag.',
    input: TARGET,
    answer: invalidate,
  },
  {
    method: 'POST',
    path: 'cleanup',
    needs: 'guarded',
    summary: 'Removes old checkpoints, or with dryRun names those that it would remove.',
    input: ['maxAgeDays', 'dryRun'],
    answer: (app, body) => app.cleanup(readCleanup(body)),
  },
  {
    method: 'POST',
    path: 'workflows/invalidate',
    needs: 'guarded',
    summary: 'Removes all of a workflow, so that it starts anew.',
    input: ['workflow'],
    answer: async (app, body): Promise<OperationResult> => ({
      removed: await app.invalidateWorkflow(readWorkflow(body)),
    }),
  },
  {
    method: 'POST',
    path: 'workflows/finish',
    needs: 'guarded',
    summary: 'Marks a workflow as done, so that its states may go.',
    input: ['workflow'],
    answer: async (app, body): Promise<OperationResult> => {
      await app.finishWorkflow(readWorkflow(body));
      return {};
    },
  },
  {
    method: 'POST',
    path: 'checkpoints/remove',
    needs: 'guarded',
    summary: 'Removes one version of a checkpoint, or all.',
    input: VERSION,
    answer: async (app, body): Promise<OperationResult> => {
      const { id, version } = readVersion(body);
      return { removed: await app.removeCheckpoint(id, version) };
    },
  },
  {
    method: 'POST',
    path: 'checkpoints/pin',
    needs: 'guarded',
    summary: 'Excludes a version, or the newest, from every cleanup.',
    input: VERSION,
    answer: async (app, body): Promise<OperationResult> => {
      const { id, version } = readVersion(body);
      return { found: await app.pinCheckpoint(id, version) };
    },
  },
  {
    method: 'POST',
    path: 'checkpoints/unpin',
    needs: 'guarded',
    summary: 'Undoes a pin, of one version or of all.',
    input: VERSION,
    answer: async (app, body): Promise<OperationResult> => {
      const { id, version } = readVersion(body);
      return { found: await app.unpinCheckpoint(id, version) };
    },
  },
  {
    method: 'POST',
    path: 'checkpoints/fork',
    needs: 'guarded',
    summary: 'Begins a new id with the state of another.',
    input: ['from', 'to', 'version', 'workflow', 'lane'],
    answer: (app, body) => {
      const { from, to, ...options } = readFork(body);
      return app.forkCheckpoint(from, to, options);
    },
  },
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
