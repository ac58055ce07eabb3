import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';
import { type Docstring, docstringOf, membersOf, type PublicSymbol, publicSymbols } from '../support/public-symbols.js';

const SYMBOLS = publicSymbols();
/** Tags that an editor shows as such. */
const TAGS = ['example', 'internal', 'module', 'param', 'returns', 'typeParam', 'deprecated'];

const placeOf = ({ name, path }: { readonly name: string; readonly path: string }): string => `${name} in ${path}`;

/** Classes, functions and decorators: what an app names. A constant is none of them. */
const isCalled = ({ node, entry }: PublicSymbol): boolean =>
  entry !== undefined && (ts.isClassDeclaration(node) || ts.isFunctionDeclaration(node));

/** An example that compiles, under the tag by which an editor and the API reference show it. */
const hasExample = ({ tags, examples }: Docstring): boolean => tags.includes('example') && examples.length > 0;

describe('the docstrings of what is exported', () => {
  const symbols = SYMBOLS.map((symbol) => ({ ...symbol, doc: docstringOf(symbol.node) }));
  const members = SYMBOLS.flatMap((symbol) =>
    membersOf(symbol).map((each) => ({ ...each, doc: docstringOf(each.member) })),
  );

  it('exist', () => {
    expect(symbols.length).toBeGreaterThan(100);
    expect(members.length).toBeGreaterThan(20);
    const lacking = [...symbols, ...members].filter(({ doc }) => doc.text.trim() === '');
    expect(lacking.map(placeOf)).toEqual([]);
  });

  it('say what each option is for', () => {
    const interfaces = SYMBOLS.flatMap(({ name, path, node }) =>
      ts.isInterfaceDeclaration(node) ? node.members.map((member) => ({ name, path, member })) : [],
    );
    const options = interfaces.filter(({ member }) => member.questionToken !== undefined);
    expect(options.length).toBeGreaterThan(100);
    const lacking = options.filter(({ member }) => docstringOf(member).text.trim() === '');
    expect(lacking.map(({ name, path, member }) => `${name}.${member.name?.getText()} in ${path}`)).toEqual([]);
  });

  it('give an example of each class, function and decorator', () => {
    expect(symbols.filter(isCalled).length).toBeGreaterThan(30);
    const lacking = symbols.filter((symbol) => isCalled(symbol) && !hasExample(symbol.doc));
    expect(lacking.map(placeOf)).toEqual([]);
  });

  // A decorator behind a space ends the example for editors, because they read it as a tag: `{@Cached` is not one.
  it('are read to their end by editors', () => {
    const cut = [...symbols, ...members].filter(({ doc }) => doc.tags.some((tag) => !TAGS.includes(tag)));
    expect(cut.map(placeOf)).toEqual([]);
  });
});
