import { readFileSync } from 'node:fs';
import { posix } from 'node:path';
import ts from 'typescript';
import type { DocBlock } from './doc-pages.js';
import type { DocProgram } from './doc-programs.js';

/** What an entry point of the library exports. */
export interface PublicSymbol {
  readonly name: string;
  /** Of its declaration, below the root. */
  readonly path: string;
  /** Of the package, as an app imports it. Undefined for what is public as a base class alone. */
  readonly entry: string | undefined;
  /** The declaration as a statement of its file. */
  readonly node: ts.Statement;
}

/** What stands in front of a declaration. */
export interface Docstring {
  readonly text: string;
  readonly tags: readonly string[];
  readonly examples: readonly DocBlock[];
}

const FENCE = /```ts\n([^]*?)\n```/g;

/** What the entry points export, by the names of the API reference, and the class that `CacheManager` extends. */
export function publicSymbols(): readonly PublicSymbol[] {
  const { entryPoints } = JSON.parse(readFileSync('typedoc.json', 'utf8'));
  const parsed = new Map<string, ts.SourceFile>();
  const parse = (path: string): ts.SourceFile => {
    const known = parsed.get(path);
    const ast = known ?? ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true);
    parsed.set(path, ast);
    return ast;
  };
  const named = (entryPoints as readonly string[]).flatMap((path) => {
    const entry = posix.join('nestjs-lane-cache', posix.dirname(posix.relative('lib', path)));
    return exportsOf(path, parse).map((found) => ({ ...found, entry }));
  });
  const base = exportsOf('lib/cache/lane-manager.ts', parse).map((found) => ({ ...found, entry: undefined }));
  return [...named, ...base.filter(({ name }) => name === 'LaneManager')];
}

type Found = Omit<PublicSymbol, 'entry'>;

function exportsOf(path: string, parse: (path: string) => ts.SourceFile): readonly Found[] {
  return parse(path).statements.flatMap((node): readonly Found[] => {
    if (!ts.isExportDeclaration(node)) return namesOf(node).map((name) => ({ name, path, node }));
    const from = node.moduleSpecifier;
    if (from === undefined || !ts.isStringLiteral(from)) return [];
    const found = exportsOf(posix.join(posix.dirname(path), from.text).replace(/\.js$/, '.ts'), parse);
    const { exportClause } = node;
    if (exportClause === undefined || !ts.isNamedExports(exportClause)) return found;
    const names = new Set(exportClause.elements.map((element) => (element.propertyName ?? element.name).text));
    return found.filter(({ name }) => names.has(name));
  });
}

/** What a statement exports by itself. */
function namesOf(node: ts.Statement): readonly string[] {
  const isExported = ts.canHaveModifiers(node) && hasExport(ts.getModifiers(node) ?? []);
  if (!isExported) return [];
  if (ts.isVariableStatement(node)) return node.declarationList.declarations.map(({ name }) => name.getText());
  const name = ts.getNameOfDeclaration(node as ts.Node as ts.Declaration);
  return name === undefined ? [] : [name.getText()];
}

const hasExport = (modifiers: readonly ts.Modifier[]): boolean =>
  modifiers.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword);

/** The docstring of a declaration, as an editor reads it. */
export function docstringOf(node: ts.Node): Docstring {
  const comments = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc);
  const ast = node.getSourceFile();
  return {
    text: comments.map(({ comment }) => ts.getTextOfJSDocComment(comment) ?? '').join('\n'),
    tags: comments.flatMap(({ tags = [] }) => tags.map(({ tagName }) => tagName.text)),
    examples: comments.flatMap((comment) => {
      const line = ast.getLineAndCharacterOfPosition(comment.getStart()).line + 1;
      const text = comment.getText().replaceAll(/^[ \t]*(\/\*\*|\*\/|\* ?)/gm, '');
      return [...text.matchAll(FENCE)].map((match) => ({
        page: ast.fileName,
        line: line + text.slice(0, match.index).split('\n').length,
        language: 'ts',
        remark: '',
        code: match[1] ?? '',
      }));
    }),
  };
}

/** A public method or accessor of an exported class. */
export interface PublicMember extends PublicSymbol {
  readonly member: ts.ClassElement;
}

const HIDDEN = [ts.SyntaxKind.PrivateKeyword, ts.SyntaxKind.ProtectedKeyword];

/** The members of a class that have a docstring of their own: what an interface declares has the docstring there. */
export function membersOf(symbol: PublicSymbol): readonly PublicMember[] {
  const { node, name } = symbol;
  const clauses = ts.isClassDeclaration(node) ? (node.heritageClauses ?? []) : [];
  if (!ts.isClassDeclaration(node) || clauses.some(({ token }) => token === ts.SyntaxKind.ImplementsKeyword)) return [];
  return node.members
    .filter((member) => ts.isMethodDeclaration(member) || ts.isGetAccessor(member))
    .filter((member) => !(ts.getModifiers(member) ?? []).some(({ kind }) => HIDDEN.includes(kind)))
    .filter((member) => !docstringOf(member).tags.includes('internal'))
    .map((member) => ({ ...symbol, name: `${name}.${member.name.getText()}`, member }));
}

/** What an example may use without an import. */
const GIVEN = {
  cache: "import('nestjs-lane-cache').CacheManager",
  checkpoints: "import('nestjs-lane-cache').CheckpointService",
  app: "import('@nestjs/common').INestApplicationContext",
};
const FOREIGN = {
  UseInterceptors: '@nestjs/common',
  HealthCheckService: '@nestjs/terminus',
  Test: '@nestjs/testing',
  Keyv: 'keyv',
  Redis: 'ioredis',
  createClient: 'redis',
};

/** The examples in docstrings as programs: what they name and do not declare is imported, or given. */
export function exampleProgramsOf(symbols: readonly PublicSymbol[]): readonly DocProgram[] {
  const importOf = ({ name, entry, node }: PublicSymbol): readonly [string, string] => {
    const isType = ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node);
    return [name, `import { ${isType ? 'type ' : ''}${name} } from '${entry}';`];
  };
  const given = new Map([
    ...symbols.filter(({ entry }) => entry !== undefined).map(importOf),
    ...Object.entries(FOREIGN).map(([name, from]) => [name, `import { ${name} } from '${from}';`] as const),
    ...Object.entries(GIVEN).map(([name, type]) => [name, `declare const ${name}: ${type};`] as const),
  ]);
  const nodes = symbols.flatMap((symbol) => [symbol.node, ...membersOf(symbol).map(({ member }) => member)]);
  return nodes.flatMap((node) =>
    docstringOf(node).examples.map((block) => {
      const declared = new Set([...block.code.matchAll(/\b(?:const|class|function) (\w+)/g)].map(([, name]) => name));
      const used = new Set(block.code.match(/\b[A-Za-z]\w*\b/g));
      const before = [...given].filter(([name]) => used.has(name) && !declared.has(name)).map(([, line]) => line);
      return { block, source: `${before.join(' ')}\n${block.code}\nexport {};\n` };
    }),
  );
}
