import ts from 'typescript';
import { roomOf } from './floors.js';
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
  { modules: /^@nestjs\//, rooms: ['app', 'module', 'decorators', 'http', 'housekeeping', 'testing'] },
  { modules: /^(node:)?(timers|perf_hooks)(\/|$)/, rooms: ['clock'] },
];

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
