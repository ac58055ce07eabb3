import { readdirSync, readFileSync } from 'node:fs';
import { join, posix, sep } from 'node:path';
import ts from 'typescript';

/** One import of a file, whatever its spelling: static, type only, re-export, dynamic, `require`, `import('…').Type`. */
export interface Import {
  readonly specifier: string;
  readonly line: number;
  /** An import of types that means the same in both module formats. */
  readonly hasMode: boolean;
  /** The file of this tree that it leads to. */
  readonly target?: string;
}

/** One file of the tree; its path starts below the root and has `/` on every platform. */
export interface Source {
  readonly path: string;
  readonly lines: number;
  readonly imports: readonly Import[];
  readonly ast: ts.SourceFile;
}

export function readTree(root: string): readonly Source[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .toSorted()
    .map((path) => parseSource(path.replaceAll(sep, '/'), readFileSync(join(root, path), 'utf8')));
}

export function parseSource(path: string, text: string): Source {
  const ast = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const imports: Import[] = [];
  visit(ast, (node) => {
    const specifier = specifierOf(node);
    if (specifier !== undefined) imports.push(importOf(path, specifier, lineOf(ast, node), hasMode(node)));
  });
  return { path, lines: text.trimEnd().split('\n').length, imports, ast };
}

export function visit(node: ts.Node, see: (node: ts.Node) => void): void {
  see(node);
  ts.forEachChild(node, (child) => visit(child, see));
}

export function lineOf(ast: ts.SourceFile, node: ts.Node): number {
  return ast.getLineAndCharacterOfPosition(node.getStart(ast)).line + 1;
}

function importOf(path: string, specifier: string, line: number, withMode: boolean): Import {
  if (!specifier.startsWith('.')) return { specifier, line, hasMode: withMode };
  const target = posix.join(posix.dirname(path), specifier).replace(/\.js$/, '.ts');
  return { specifier, line, hasMode: withMode, target };
}

function hasMode(node: ts.Node): boolean {
  const { elements = [] } = (ts.isImportDeclaration(node) ? node.attributes : undefined) ?? {};
  return elements.some(({ name }) => name.text === 'resolution-mode');
}

function specifierOf(node: ts.Node): string | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return textOf(node.moduleSpecifier);
  if (ts.isExternalModuleReference(node)) return textOf(node.expression);
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) return textOf(node.argument.literal);
  if (ts.isCallExpression(node) && loadsModule(node.expression)) return textOf(node.arguments[0]);
  return undefined;
}

function loadsModule(callee: ts.Expression): boolean {
  return callee.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(callee) && callee.text === 'require');
}

function textOf(node: ts.Node | undefined): string | undefined {
  return node !== undefined && ts.isStringLiteralLike(node) ? node.text : undefined;
}
