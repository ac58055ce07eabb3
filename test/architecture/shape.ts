import { posix } from 'node:path';
import type { Source } from './source-tree.js';

const MAX_LINES = 600;
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
const ENTRY_ROOMS: ReadonlySet<string> = new Set(['testing', 'redis', 'health']);

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
