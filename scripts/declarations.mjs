// Leaves of a set of declaration files what their entry points reach, so that the package holds its public types and what
// they are made of, and nothing of the rest.
import ts from 'typescript';

/**
 * `files` has the text of each declaration file by its name, `targetOf(name, path)` says which of them an import means. Returns the
 * texts of those that `entries` reach, each without the statements and imports that they do not.
 */
export function reachedDeclarations(files, entries, targetOf) {
  const parsed = new Map([...files].map(([name, text]) => [name, parse(name, text, targetOf)]));
  const kept = new Map();
  const queue = entries.map((name) => [name, '*']);
  for (const [name, wanted] of queue) {
    const file = parsed.get(name);
    if (file === undefined) continue;
    const statements = wanted === '*' ? file.statements.filter(({ isExported }) => isExported) : file.named(wanted);
    for (const statement of statements) {
      const before = kept.get(name) ?? kept.set(name, new Set()).get(name);
      if (before.has(statement)) continue;
      before.add(statement);
      queue.push(...statement.needs);
    }
  }
  return new Map([...kept].map(([name, statements]) => [name, textOf(parsed.get(name), statements)]));
}

function parse(name, text, targetOf) {
  const source = ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true);
  const imports = source.statements.filter(ts.isImportDeclaration);
  const imported = new Map();
  for (const one of imports) {
    const target = targetOf(name, one.moduleSpecifier.text);
    for (const [local, original] of importedNames(one)) imported.set(local, [target, original]);
  }
  const statements = source.statements
    .filter((one) => !ts.isImportDeclaration(one) && !isEmptyExport(one))
    .map((node) => ({ node, names: namesOf(node), isExported: isExported(node) }));
  const named = (wanted) => statements.filter(({ node, names }) => names.includes(wanted) || isStar(node));
  const file = { source, imports, statements, named };
  for (const statement of statements) statement.needs = needsOf(statement.node, name, imported, targetOf);
  return file;
}

/** What a statement refers to: names of this file and of others, as pairs of a file and a name. */
function needsOf(node, name, imported, targetOf) {
  if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined) {
    const target = targetOf(name, node.moduleSpecifier.text);
    if (node.exportClause === undefined) return [[target, '*']];
    return node.exportClause.elements.map((one) => [target, (one.propertyName ?? one.name).text]);
  }
  const needs = [];
  const visit = (child) => {
    if (ts.isIdentifier(child)) needs.push(imported.get(child.text) ?? [name, child.text]);
    if (ts.isImportTypeNode(child))
      needs.push([targetOf(name, child.argument.literal.text), child.qualifier?.getText() ?? '*']);
    ts.forEachChild(child, visit);
  };
  visit(node);
  return needs;
}

function importedNames({ importClause }) {
  const bindings = importClause?.namedBindings;
  const names = importClause?.name === undefined ? [] : [[importClause.name.text, 'default']];
  if (bindings === undefined) return names;
  if (ts.isNamespaceImport(bindings)) return [...names, [bindings.name.text, '*']];
  return [...names, ...bindings.elements.map((one) => [one.name.text, (one.propertyName ?? one.name).text])];
}

function namesOf(node) {
  if (ts.isExportDeclaration(node)) return node.exportClause?.elements.map(({ name }) => name.text) ?? [];
  if (ts.isVariableStatement(node)) return node.declarationList.declarations.map(({ name }) => name.text);
  return node.name === undefined ? [] : [node.name.text];
}

const isExported = (node) =>
  ts.isExportDeclaration(node) ||
  (ts.getCombinedModifierFlags(node) & ts.ModifierFlags.Export) !== 0 ||
  hasExport(node);
const hasExport = (node) => node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false;
const isStar = (node) => ts.isExportDeclaration(node) && node.exportClause === undefined;
const isEmptyExport = (node) =>
  ts.isExportDeclaration(node) && node.moduleSpecifier === undefined && node.exportClause?.elements.length === 0;

/** The file with these statements, and with the imports that they use. A file without an export stays a module. */
function textOf({ source, imports, statements }, kept) {
  const left = statements.filter((one) => kept.has(one));
  const used = new Set(left.flatMap(({ node }) => identifiersIn(node)));
  const lines = imports.flatMap((one) => importText(one, used));
  const texts = left.map(({ node }) => source.text.slice(node.getFullStart(), node.end).replace(/^\s*\n/, ''));
  const end = left.some((one) => one.isExported) ? [] : ['export {};'];
  return `${[...lines, ...texts, ...end].join('\n')}\n`;
}

function identifiersIn(node) {
  const found = [];
  const visit = (child) => {
    if (ts.isIdentifier(child)) found.push(child.text);
    ts.forEachChild(child, visit);
  };
  visit(node);
  return found;
}

function importText(node, used) {
  const { importClause, moduleSpecifier, attributes } = node;
  const bindings = importClause?.namedBindings;
  if (bindings === undefined || !ts.isNamedImports(bindings) || importClause.name !== undefined) {
    return importedNames(node).some(([local]) => used.has(local)) ? [node.getText()] : [];
  }
  const left = bindings.elements.filter(({ name }) => used.has(name.text)).map((one) => one.getText());
  const type = importClause.isTypeOnly ? 'type ' : '';
  const mode = attributes === undefined ? '' : ` ${attributes.getText()}`;
  return left.length === 0 ? [] : [`import ${type}{ ${left.join(', ')} } from ${moduleSpecifier.getText()}${mode};`];
}
