/** What a rendered template is used for. In a pattern, `*` and `?` of a value must not become wildcards. */
export type TemplateUse = 'key' | 'tag' | 'pattern';

type Reader = (args: readonly unknown[]) => unknown;

interface Placeholder {
  readonly argument: number;
  readonly read: Reader;
  /** As written: `{0.id}`. */
  readonly written: string;
  /** The punctuation mark that ends its value; undefined if no text follows. */
  readonly end: string | undefined;
  /** The literal text that follows. */
  readonly after: string;
}

/** What the placeholders of a template may name: the arguments of a call by number, or parts of something by name. */
export interface TemplateSubject {
  /** Matches the name that a placeholder begins with. */
  readonly name: RegExp;
  /** The position of its value among those that the template is rendered with. */
  readonly indexOf: (name: string) => number;
  /** How to write a placeholder, for errors. */
  readonly advice: string;
}

/** The subject of a template about the parts with these names. */
export function partsNamed(names: readonly string[]): TemplateSubject {
  const [first = ''] = names;
  const written = names.map((name) => `{${name}.…}`).join(', ');
  return {
    name: new RegExp(`^\\{(${names.join('|')})(?=[.}])`),
    indexOf: (name) => names.indexOf(name),
    advice: `Write ${written} with the name of a value, such as {${first}.id}, and {{ for a brace`,
  };
}

const ARGUMENTS: TemplateSubject = {
  name: /^\{(\d+)(?=[.}])/,
  indexOf: Number,
  advice: 'Write {0} or {0.name} for an argument, {{ for a brace',
};

const PATH = /^((?:\.[A-Za-z_$][\w$]*)*)\}/;
const PUNCTUATION = /[^A-Za-z0-9%\u0080-\uffff]/;

/**
 * A text with placeholders for arguments: `doc:{0}`, `user:{0.id}:{1}`. `{{` is a literal brace, a lone `}` too.
 *
 * Placeholders take strings, numbers, bigints and booleans; `1` and `'1'` render alike, as in a key written by hand.
 * The punctuation mark that ends a placeholder is percent-encoded in its value, and so is `%`, so that `('a:b', 'c')`
 * and `('a', 'b:c')` have different keys. A value at the end of the template is rendered as it is.
 */
export class Template {
  private constructor(
    readonly text: string,
    readonly use: TemplateUse,
    private readonly head: string,
    private readonly placeholders: readonly Placeholder[],
  ) {}

  /** Throws an Error that explains what is wrong with the text. */
  static compile(text: string, use: TemplateUse, subject: TemplateSubject = ARGUMENTS): Template {
    const { head, parts } = parse(text, subject);
    const placeholders = parts.map((part, index): Placeholder => {
      const end = endOf(part.after, use);
      if (end === undefined && index < parts.length - 1) {
        throw new Error(
          `the template '${text}' needs a mark such as ':' between its placeholders, or their values run into each other.`,
        );
      }
      return { ...part, end };
    });
    return new Template(text, use, head, placeholders);
  }

  /** The positions of the arguments that it uses. */
  get arguments(): readonly number[] {
    return this.placeholders.map((placeholder) => placeholder.argument);
  }

  /** The first placeholder whose value is missing or no primitive, as written, and that value. */
  missing(args: readonly unknown[]): { readonly placeholder: string; readonly value: unknown } | undefined {
    const missing = this.placeholders.find(({ read }) => !isWritable(read(args)));
    return missing && { placeholder: missing.written, value: missing.read(args) };
  }

  /** Undefined if an argument that it uses is missing or is not a primitive. */
  render(args: readonly unknown[]): string | undefined {
    let rendered = this.head;
    for (const { read, end, after } of this.placeholders) {
      const value = read(args);
      if (!isWritable(value)) return undefined;
      const written = encode(String(value), end);
      rendered += (this.use === 'pattern' ? written.replaceAll('*', '?') : written) + after;
    }
    return rendered;
  }
}

function parse(
  text: string,
  subject: TemplateSubject,
): { readonly head: string; readonly parts: readonly Omit<Placeholder, 'end'>[] } {
  const literals: string[] = [''];
  const readers: Omit<Placeholder, 'end' | 'after'>[] = [];
  for (let at = 0; at < text.length;) {
    const placeholder = text[at] === '{' && text[at + 1] !== '{' ? readPlaceholder(text, at, subject) : undefined;
    if (placeholder === undefined) {
      literals.push(`${literals.pop()}${text[at]}`);
      at += text[at] === '{' ? 2 : 1;
    } else {
      readers.push(placeholder);
      literals.push('');
      at += placeholder.written.length;
    }
  }
  const [head = '', ...after] = literals;
  return { head, parts: readers.map((each, index) => ({ ...each, after: after[index] ?? '' })) };
}

function readPlaceholder(text: string, at: number, subject: TemplateSubject): Omit<Placeholder, 'end' | 'after'> {
  const rest = text.slice(at);
  const [opening = '', name = ''] = subject.name.exec(rest) ?? [];
  const [closing, path = ''] = opening === '' ? [] : (PATH.exec(rest.slice(opening.length)) ?? []);
  if (closing === undefined) {
    throw new Error(`the template '${text}' has a '{' at ${at} that opens no placeholder. ${subject.advice}.`);
  }
  const argument = subject.indexOf(name);
  return { argument, read: reader(argument, path.split('.').slice(1)), written: opening + closing };
}

function reader(argument: number, path: readonly string[]): Reader {
  if (path.length === 0) return (args) => args[argument];
  return (args) => path.reduce<unknown>(propertyOf, args[argument]);
}

function propertyOf(value: unknown, name: string): unknown {
  return value === undefined || value === null ? undefined : Reflect.get(Object(value), name);
}

function isWritable(value: unknown): boolean {
  return (
    typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint'
  );
}

/** In a pattern, wildcards do not count: they match any character, so they end nothing. */
function endOf(after: string, use: TemplateUse): string | undefined {
  return PUNCTUATION.exec(use === 'pattern' ? after.replaceAll(/[*?]/g, '') : after)?.[0];
}

function encode(value: string, end: string | undefined): string {
  if (end === undefined || (!value.includes(end) && !value.includes('%'))) return value;
  return value.replaceAll('%', '%25').replaceAll(end, `%${end.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
