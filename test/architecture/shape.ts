import { posix } from 'node:path';
import type { Source } from './source-tree.js';

const MAX_LINES = 600;
const SMALL_LINES = 40;
/** Names that say what kind of file lies there instead of what it is about. */
const NAMELESS_FOLDERS: ReadonlySet<string> = new Set([
  'utils',
  'util',
  'helpers',
  'common',
  'types',
  'misc',
  'shared',
]);
/** Rooms that are entry points of the package. */
const ENTRY_ROOMS: ReadonlySet<string> = new Set(['testing', 'redis', 'health', 'dashboard']);

export function folderViolations(tree: readonly Source[]): readonly string[] {
  return tree.flatMap(({ path }) =>
    posix
      .dirname(path)
      .split('/')
      .filter((folder) => NAMELESS_FOLDERS.has(folder))
      .map((folder) => `${path}:1 lies in '${folder}', which says nothing about it`),
  );
}

export function barrelViolations(tree: readonly Source[]): readonly string[] {
  return tree
    .map(({ path }) => path)
    .filter((path) => posix.basename(path) === 'index.ts' && path !== 'index.ts')
    .filter((path) => !ENTRY_ROOMS.has(posix.dirname(path)))
    .map((path) => `${path}:1 is a barrel inside a room`);
}

export function lengthViolations(tree: readonly Source[]): readonly string[] {
  return tree
    .filter(({ lines }) => lines > MAX_LINES)
    .map(({ path, lines }) => `${path}:${lines} is longer than ${MAX_LINES} lines`);
}

/** Small files with a single importer that a reader looks up by name, each with the reason. */
export const SMALL_FILES: Readonly<Record<string, string>> = {
  'dashboard/index.ts': 'an entry point of the package',
  'dashboard/page-files.ts': 'is loaded when the page is first asked for',
  'decorators/inject-lane.decorator.ts': 'a decorator is looked up by its name',
  'operations/readable-json.ts': 'how values are shown as JSON is looked up by itself',
  'testing/seeded-random.ts': 'the one source of chance of the testing kit',
};

/** A file under 40 lines that one file alone imports is part of that file, unless it stands on the list. */
export function smallFileViolations(
  tree: readonly Source[],
  allowed: Readonly<Record<string, string>> = SMALL_FILES,
): readonly string[] {
  const importers = new Map<string, Set<string>>();
  for (const { path, imports } of tree)
    for (const { target } of imports) {
      if (target === undefined) continue;
      importers.set(target, (importers.get(target) ?? new Set()).add(path));
    }
  const found = tree
    .filter(({ path, lines }) => lines < SMALL_LINES && importers.get(path)?.size === 1)
    .map(({ path }) => path);
  const missing = Object.keys(allowed).filter((path) => !found.includes(path));
  return [
    ...found
      .filter((path) => allowed[path] === undefined)
      .map((path) => `${path}:1 is small, and ${[...(importers.get(path) ?? [])].join()} alone imports it`),
    ...missing.map((path) => `${path} stands on the list of small files and is none`),
  ];
}

/** Each circle once, type imports included: they show where the thinking goes round. */
export function cycleViolations(tree: readonly Source[]): readonly string[] {
  const sources = new Map(tree.map((source) => [source.path, source]));
  const found: string[] = [];
  const done = new Set<string>();
  const walk = (path: string, trail: readonly string[]): void => {
    for (const { target, line } of sources.get(path)?.imports ?? []) {
      if (target === undefined || done.has(target)) continue;
      const start = trail.indexOf(target);
      if (start === -1) walk(target, [...trail, target]);
      else found.push(`${path}:${line} closes a circle: ${[...trail.slice(start), target].join(' -> ')}`);
    }
    done.add(path);
  };
  for (const path of sources.keys()) if (!done.has(path)) walk(path, [path]);
  return found;
}
