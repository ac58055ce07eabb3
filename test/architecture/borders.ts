import ts from 'typescript';
import { FRONT_DOOR, roomOf } from './floors.js';
import { lineOf, type Source, visit } from './source-tree.js';

interface ModuleBorder {
  readonly modules: RegExp;
  readonly rooms: readonly string[];
}

const MODULE_BORDERS: readonly ModuleBorder[] = [
  { modules: /^(node:)?fs(\/|$)/, rooms: ['storage', 'cli'] },
  { modules: /^lmdb$/, rooms: ['storage', 'cli'] },
  { modules: /^(node:)?net$/, rooms: ['ipc', 'cli'] },
  { modules: /^(redis|@redis\/.+|ioredis|iovalkey|@valkey\/.+)$/, rooms: ['redis'] },
  { modules: /^(node:)?(timers|perf_hooks)(\/|$)/, rooms: ['clock'] },
];

const NEST = /^@nestjs\//;
/** The rooms that the build makes once for each module format, because they import Nest. Everything else is the core. */
const NEST_ROOMS: ReadonlySet<string> = new Set([
  'module',
  'decorators',
  'http',
  'dashboard',
  'health',
  'testing',
  FRONT_DOOR,
]);

/** Names that read the time, wait, or draw lots wherever they come from. */
const CLOCK_NAMES: ReadonlySet<string> = new Set([
  'setTimeout',
  'setInterval',
  'setImmediate',
  'performance',
  'hrtime',
  'randomBytes',
  'randomInt',
  'randomUUID',
  'randomFill',
  'randomFillSync',
  'getRandomValues',
]);
const CLOCK_MEMBERS: ReadonlySet<string> = new Set(['Date.now', 'Math.random', 'AbortSignal.timeout']);

export function moduleBorderViolations(tree: readonly Source[]): readonly string[] {
  return tree.flatMap(({ path, imports }) =>
    imports.flatMap(({ specifier, line }) =>
      MODULE_BORDERS.filter(({ modules, rooms }) => modules.test(specifier) && !rooms.includes(roomOf(path))).map(
        ({ rooms }) => `${path}:${line} imports '${specifier}', which belongs in ${rooms.join(', ')}`,
      ),
    ),
  );
}

/** The core imports neither Nest nor a file that does, so that its classes exist once whatever the module format. */
export function coreViolations(tree: readonly Source[]): readonly string[] {
  const files = new Map(tree.map((source) => [source.path, source]));
  const importsNest = new Map<string, boolean>();
  const reaches = (path: string): boolean => {
    const known = importsNest.get(path);
    if (known !== undefined) return known;
    importsNest.set(path, false);
    const imports = files.get(path)?.imports.filter(({ hasMode }) => !hasMode) ?? [];
    const found = imports.some(({ specifier, target }) =>
      target === undefined ? NEST.test(specifier) : reaches(target),
    );
    importsNest.set(path, found);
    return found;
  };
  return tree
    .filter(({ path }) => !NEST_ROOMS.has(roomOf(path)))
    .flatMap(({ path, imports }) =>
      imports
        .filter(({ hasMode }) => !hasMode)
        .filter(({ specifier, target }) => (target === undefined ? NEST.test(specifier) : isOuter(target, reaches)))
        .map(({ specifier, line }) => `${path}:${line} imports '${specifier}', and with it Nest, into the core`),
    );
}

/** Reported where the core is left, not at each file above. */
function isOuter(target: string, reaches: (path: string) => boolean): boolean {
  return NEST_ROOMS.has(roomOf(target)) && reaches(target);
}

export function entryPointViolations(tree: readonly Source[]): readonly string[] {
  return tree.flatMap(({ path, imports }) =>
    imports
      .filter(({ target }) => target === 'index.ts')
      .map(({ line }) => `${path}:${line} imports the package's own entry point`),
  );
}

export function clockViolations(tree: readonly Source[]): readonly string[] {
  return nameViolations(tree, 'clock', clockName);
}

export function consoleViolations(tree: readonly Source[]): readonly string[] {
  return nameViolations(tree, 'cli', (node) =>
    ts.isIdentifier(node) && node.text === 'console' ? 'console' : undefined,
  );
}

function nameViolations(
  tree: readonly Source[],
  owner: string,
  forbidden: (node: ts.Node) => string | undefined,
): readonly string[] {
  const found: string[] = [];
  for (const { path, ast } of tree) {
    if (roomOf(path) === owner) continue;
    visit(ast, (node) => {
      const name = forbidden(node);
      if (name !== undefined) found.push(`${path}:${lineOf(ast, node)} uses ${name}, which belongs in ${owner}`);
    });
  }
  return found;
}

function clockName(node: ts.Node): string | undefined {
  if (ts.isIdentifier(node) && CLOCK_NAMES.has(node.text)) return node.text;
  if (ts.isPropertyAccessExpression(node)) {
    const member = `${node.expression.getText()}.${node.name.text}`.replace(/^globalThis\./, '');
    return CLOCK_MEMBERS.has(member) ? member : undefined;
  }
  const readsNow = ts.isNewExpression(node) && node.expression.getText() === 'Date' && !node.arguments?.length;
  return readsNow ? 'new Date()' : undefined;
}
