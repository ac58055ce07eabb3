import { join } from 'node:path';
import { inspect } from 'node:util';
import ts from 'typescript';
import type { DocBlock } from './doc-pages.js';

/** What a block may use without saying where it comes from. */
const GIVEN: Readonly<Record<string, string>> = {
  cache: 'CacheManager',
  checkpoints: 'CheckpointService',
};

/** A block made a module: in front of it stand, in one line, what is given and what the page has imported so far. */
export interface DocProgram {
  readonly block: DocBlock;
  readonly source: string;
}

/** The TypeScript of one page. What a block imports holds for the blocks below it. */
export function programsOf(blocks: readonly DocBlock[]): readonly DocProgram[] {
  const imported = new Map<string, string>();
  return blocks
    .filter(({ language }) => language === 'ts')
    .map((block) => {
      const { imports, declared } = namesIn(block.code);
      const given = Object.entries(GIVEN)
        .filter(([name]) => !declared.has(name))
        .map(([name, type]) => `declare const ${name}: import('nestjs-lane-cache').${type};`);
      const carried = [...imported].filter(([name]) => !declared.has(name)).map(([, statement]) => statement);
      for (const [name, statement] of imports) imported.set(name, statement);
      return { block, source: `${[...carried, ...given].join(' ')}\n${block.code}\nexport {};\n` };
    });
}

function namesIn(code: string): {
  readonly imports: ReadonlyMap<string, string>;
  readonly declared: ReadonlySet<string>;
} {
  const imports = new Map<string, string>();
  const declared = new Set<string>();
  for (const statement of ts.createSourceFile('block.ts', code, ts.ScriptTarget.ES2022).statements) {
    if (ts.isImportDeclaration(statement) && ts.isStringLiteral(statement.moduleSpecifier)) {
      const bindings = statement.importClause?.namedBindings;
      if (bindings === undefined || !ts.isNamedImports(bindings)) continue;
      for (const { name } of bindings.elements) {
        imports.set(name.text, `import { ${name.text} } from '${statement.moduleSpecifier.text}';`);
        declared.add(name.text);
      }
    } else if (ts.isVariableStatement(statement)) {
      for (const { name } of statement.declarationList.declarations) if (ts.isIdentifier(name)) declared.add(name.text);
    } else if (ts.isClassDeclaration(statement) || ts.isFunctionDeclaration(statement)) {
      if (statement.name !== undefined) declared.add(statement.name.text);
    }
  }
  return { imports, declared };
}

/** What the compiler has against the programs, each with page and line. */
export function complaints(root: string, programs: readonly DocProgram[]): readonly string[] {
  const config = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path));
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, root);
  const settings = { ...options, noUnusedLocals: false, noUnusedParameters: false };
  const files = new Map(programs.map((program, index) => [join(root, `doc-block-${index}.ts`), program]));
  const disk = ts.createCompilerHost(settings);
  const host: ts.CompilerHost = {
    ...disk,
    fileExists: (path) => files.has(path) || disk.fileExists(path),
    readFile: (path) => files.get(path)?.source ?? disk.readFile(path),
    getSourceFile: (path, version, ...rest) => {
      const source = files.get(path)?.source;
      return source === undefined
        ? disk.getSourceFile(path, version, ...rest)
        : ts.createSourceFile(path, source, version);
    },
  };
  const compiler = ts.createProgram([...files.keys()], settings, host);
  return [...files].flatMap(([path, { block }]) => {
    const file = compiler.getSourceFile(path);
    const found = [...compiler.getSyntacticDiagnostics(file), ...compiler.getSemanticDiagnostics(file)];
    return found.map(({ start = 0, messageText }) => {
      const line = block.line - 1 + (file?.getLineAndCharacterOfPosition(start).line ?? 0);
      return `${block.page}:${line} ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
    });
  });
}

const shown = (value: unknown): string =>
  typeof value === 'string' ? value : inspect(value, { breakLength: Infinity });

/** Runs a block. What it prints is compared with the comments behind its `console.log(…)`, in their order. */
export async function run(
  program: DocProgram,
  given: Readonly<Record<string, unknown>>,
  load: (name: string) => Promise<unknown>,
): Promise<{ readonly printed: readonly string[]; readonly promised: readonly string[] }> {
  const { outputText } = ts.transpileModule(program.source, {
    compilerOptions: {
      module: ts.ModuleKind.CommonJS,
      target: ts.ScriptTarget.ES2022,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
      useDefineForClassFields: false,
      esModuleInterop: true,
    },
  });
  const modules = new Map<string, unknown>();
  for (const [, name = ''] of outputText.matchAll(/require\("([^"]+)"\)/g)) modules.set(name, await load(name));
  const printed: string[] = [];
  const log = (...values: readonly unknown[]): void => {
    printed.push(values.map(shown).join(' '));
  };
  const values = {
    ...given,
    exports: {},
    require: (name: string) => modules.get(name),
    console: { log },
  };
  // a block of its own, so that it may declare what it was given
  const body = `{ ${outputText.replace('"use strict";', '')} }`;
  const { constructor: AsyncFunction } = async function () {};
  const block: (...values: readonly unknown[]) => Promise<void> = Reflect.construct(AsyncFunction, [
    ...Object.keys(values),
    body,
  ]);
  await block(...Object.values(values));
  const promised = [...program.block.code.matchAll(/console\.log\(.*\); \/\/ (.+)$/gm)].map(([, text = '']) => text);
  return { printed, promised };
}
