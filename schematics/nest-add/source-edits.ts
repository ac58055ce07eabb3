// Edits of TypeScript sources by their text, which leave everything else as it is. Each returns undefined where it finds no
// place for the edit.

/** The source with blanks in place of comments and of what quotes enclose, so that brackets can be counted. */
function blanked(source: string): string {
  const quoted = /\/\/[^\n]*|\/\*[^]*?\*\/|'(?:\\[^]|[^'\\\n])*'|"(?:\\[^]|[^"\\\n])*"|`(?:\\[^]|[^`\\])*`/g;
  return source.replace(quoted, (found) => found.replace(/[^\n]/g, ' '));
}

const CLOSING: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

/** Where the bracket that opens at `open` closes. */
function closingOf(code: string, open: number): number | undefined {
  const expected: string[] = [];
  for (let at = open; at < code.length; at++) {
    const char = code.charAt(at);
    const closing = CLOSING[char];
    if (closing !== undefined) expected.push(closing);
    else if (char === expected.at(-1)) expected.pop();
    if (expected.length === 0) return at;
  }
  return undefined;
}

const insert = (source: string, at: number, text: string): string => source.slice(0, at) + text + source.slice(at);

/** Behind the last import; before everything where none ends with a semicolon. */
export function withImport(source: string, line: string): string {
  const last = [...blanked(source).matchAll(/^import\b[^;]*;/gm)].at(-1);
  if (last === undefined) return `${line}\n${source}`;
  return insert(source, last.index + last[0].length, `\n${line}`);
}

/** With `entry` as the first of the imports of the first module in the source. */
export function withModuleImport(source: string, entry: string): string | undefined {
  const code = blanked(source);
  const decorator = /@Module\s*\(\s*\{/.exec(code);
  if (decorator === null) return undefined;
  const open = decorator.index + decorator[0].length - 1;
  const close = closingOf(code, open);
  if (close === undefined) return undefined;
  const list = listOfImports(code, open, close);
  if (list === undefined) return insert(source, open + 1, `\n  imports: [${entry}],`);
  const [, after = ''] = /^(\s*)/.exec(code.slice(list + 1)) ?? [];
  const isEmpty = code[list + 1 + after.length] === ']';
  if (after.includes('\n') && !isEmpty) return insert(source, list + 1, `${after}${entry},`);
  return insert(source, list + 1, isEmpty ? entry : `${entry}, `);
}

/** Where the list of the property `imports` opens that belongs to the object itself, and to none inside it. */
function listOfImports(code: string, open: number, close: number): number | undefined {
  for (let at = open + 1; at < close; at++) {
    const found = /^imports\s*:\s*\[/.exec(code.slice(at, close));
    if (found !== null && !/[\w$.]/.test(code.charAt(at - 1))) return at + found[0].length - 1;
    if (CLOSING[code.charAt(at)] !== undefined) at = closingOf(code, at) ?? close;
  }
  return undefined;
}

/** With `call` as a statement on the app, behind the one that creates it. */
export function withAppCall(source: string, call: string): string | undefined {
  const code = blanked(source);
  const creation = /^([ \t]*)(?:const|let)\s+(\w+)[^=;]*=\s*await\s+NestFactory\s*\.\s*create\b[^(]*\(/m.exec(code);
  if (creation === null) return undefined;
  const [whole, indent = '', app = ''] = creation;
  const close = closingOf(code, creation.index + whole.length - 1);
  if (close === undefined) return undefined;
  const end = /^\s*;/.exec(code.slice(close + 1))?.[0].length ?? 0;
  return insert(source, close + 1 + end, `\n${indent}${app}.${call};`);
}
