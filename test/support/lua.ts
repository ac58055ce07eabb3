/** Lua, as far as the scripts for the server use it, so that a modelled server runs the very scripts a real one runs. */

export type LuaValue = undefined | boolean | number | string | LuaTable | LuaFunction;
export type LuaFunction = (...args: LuaValue[]) => LuaValue[];

/** A table with its positions first; texts are bytes, one character each. */
export class LuaTable {
  private readonly fields = new Map<LuaValue, LuaValue>();

  static of(list: readonly LuaValue[]): LuaTable {
    const table = new LuaTable();
    for (const [at, value] of list.entries()) table.set(at + 1, value);
    return table;
  }

  get(name: LuaValue): LuaValue {
    return this.fields.get(name);
  }

  set(name: LuaValue, value: LuaValue): void {
    if (value === undefined) this.fields.delete(name);
    else this.fields.set(name, value);
  }

  get length(): number {
    let length = 0;
    while (this.fields.has(length + 1)) length++;
    return length;
  }

  get list(): LuaValue[] {
    return Array.from({ length: this.length }, (_, at) => this.fields.get(at + 1));
  }
}

export class LuaError extends Error {}

type Scope = { readonly names: Map<string, LuaValue>; readonly outer: Scope | undefined };
type Expression = (scope: Scope) => LuaValue[];
/** What a block ends with, if it returns. */
type Statement = (scope: Scope) => LuaValue[] | undefined;

const TOKEN =
  /\s+|--[^\n]*|(\d+(?:\.\d+)?)|('(?:[^'\\]|\\.)*')|([A-Za-z_]\w*)|(\.\.|==|~=|<=|>=|[-+*/%#<>=(){}[\].,:;])/y;
const BINARY: Readonly<Record<string, readonly [left: number, right: number]>> = {
  or: [1, 2],
  and: [3, 4],
  '<': [5, 6],
  '>': [5, 6],
  '<=': [5, 6],
  '>=': [5, 6],
  '~=': [5, 6],
  '==': [5, 6],
  '..': [8, 7],
  '+': [9, 10],
  '-': [9, 10],
  '*': [11, 12],
  '/': [11, 12],
  '%': [11, 12],
};
const UNARY = 13;
const ENDS = ['end', 'else', 'elseif', 'until', ''];

/** A script, ready to run with the globals it is given. Throws for what is beyond the subset. */
export function compile(text: string): (globals: Readonly<Record<string, LuaValue>>) => LuaValue {
  const body = new Parser(tokensOf(text)).program();
  return (globals) => {
    const scope = { names: new Map(Object.entries(globals)), outer: undefined };
    return body({ names: new Map(), outer: scope })?.[0];
  };
}

function tokensOf(text: string): readonly string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) throw new LuaError(`What is this? ${text.slice(at, at + 30)}`);
    const token = match[1] ?? match[2] ?? match[3] ?? match[4];
    if (token !== undefined) tokens.push(token);
  }
  return tokens;
}

class Parser {
  private at = 0;

  constructor(private readonly tokens: readonly string[]) {}

  program(): Statement {
    const body = this.block();
    if (this.at < this.tokens.length) throw new LuaError(`Nobody expected ${this.peek}`);
    return body;
  }

  private get peek(): string {
    return this.tokens[this.at] ?? '';
  }

  private next(): string {
    return this.tokens[this.at++] ?? '';
  }

  private takes(token: string): boolean {
    if (this.peek !== token) return false;
    this.at++;
    return true;
  }

  private expect(token: string): void {
    if (!this.takes(token)) throw new LuaError(`${token} was expected, not ${this.peek}`);
  }

  private block(): Statement {
    const statements: Statement[] = [];
    while (!ENDS.includes(this.peek)) {
      statements.push(this.statement());
      this.takes(';');
    }
    return (outer) => {
      const scope = { names: new Map<string, LuaValue>(), outer };
      for (const statement of statements) {
        const returned = statement(scope);
        if (returned !== undefined) return returned;
      }
      return undefined;
    };
  }

  private statement(): Statement {
    if (this.takes('local')) return this.takes('function') ? this.localFunction() : this.local();
    if (this.takes('if')) return this.branch();
    if (this.takes('for')) return this.loop();
    if (this.takes('while')) return this.whileLoop();
    if (this.takes('return')) {
      if (ENDS.includes(this.peek)) return () => [];
      return this.list();
    }
    return this.assignment();
  }

  private localFunction(): Statement {
    const name = this.next();
    const make = this.functionBody();
    return (scope) => {
      scope.names.set(name, undefined);
      scope.names.set(name, make(scope)[0]);
      return undefined;
    };
  }

  private functionBody(): Expression {
    this.expect('(');
    const parameters: string[] = [];
    while (!this.takes(')')) {
      parameters.push(this.next());
      this.takes(',');
    }
    const body = this.block();
    this.expect('end');
    return (scope) => [
      (...args) => {
        const names = new Map(parameters.map((name, at) => [name, args[at]]));
        return body({ names, outer: scope }) ?? [];
      },
    ];
  }

  private local(): Statement {
    const names = [this.next()];
    while (this.takes(',')) names.push(this.next());
    const values = this.takes('=') ? this.list() : (): LuaValue[] => [];
    return (scope) => {
      const found = values(scope);
      for (const [at, name] of names.entries()) scope.names.set(name, found[at]);
      return undefined;
    };
  }

  private branch(): Statement {
    const cases: (readonly [Expression, Statement])[] = [];
    const always: Expression = () => [true];
    for (let condition = this.expression(); ;) {
      this.expect('then');
      cases.push([condition, this.block()]);
      if (this.takes('elseif')) condition = this.expression();
      else if (this.takes('else')) {
        cases.push([always, this.block()]);
        this.expect('end');
        break;
      } else {
        this.expect('end');
        break;
      }
    }
    return (scope) => cases.find(([condition]) => isTrue(condition(scope)[0]))?.[1](scope);
  }

  private loop(): Statement {
    const name = this.next();
    this.expect('=');
    const bounds = this.list();
    this.expect('do');
    const body = this.block();
    this.expect('end');
    return (scope) => {
      const [from, to, step = 1] = bounds(scope).map(numeric);
      for (let at = from ?? 0; at <= (to ?? 0); at += step) {
        const returned = body({ names: new Map([[name, at]]), outer: scope });
        if (returned !== undefined) return returned;
      }
      return undefined;
    };
  }

  private whileLoop(): Statement {
    const condition = this.expression();
    this.expect('do');
    const body = this.block();
    this.expect('end');
    return (scope) => {
      while (isTrue(condition(scope)[0])) {
        const returned = body(scope);
        if (returned !== undefined) return returned;
      }
      return undefined;
    };
  }

  /** To names and to fields of tables; or a call. */
  private assignment(): Statement {
    const targets = [this.place()];
    while (this.takes(',')) targets.push(this.place());
    if (!this.takes('=')) {
      return (scope) => {
        targets[0]?.get(scope);
        return undefined;
      };
    }
    const values = this.list();
    return (scope) => {
      const found = values(scope);
      for (const [at, target] of targets.entries()) target.set(scope, found[at]);
      return undefined;
    };
  }

  private list(): Expression {
    const parts = [this.expression()];
    while (this.takes(',')) parts.push(this.expression());
    return (scope) => parts.flatMap((part, at) => (at === parts.length - 1 ? part(scope) : [part(scope)[0]]));
  }

  private expression(least = 0): Expression {
    let left = this.operand();
    for (;;) {
      const operator = this.peek;
      const power = BINARY[operator];
      if (power === undefined || power[0] < least) return left;
      this.at++;
      left = binary(operator, left, this.expression(power[1]));
    }
  }

  private operand(): Expression {
    if (this.takes('not')) return apply(this.expression(UNARY), (value) => !isTrue(value));
    if (this.takes('#')) return apply(this.expression(UNARY), lengthOf);
    if (this.takes('-')) return apply(this.expression(UNARY), (value) => -numeric(value));
    if (this.takes('{')) return this.table();
    if (this.takes('function')) return this.functionBody();
    const token = this.peek;
    if (/^\d/.test(token)) return constant(Number(this.next()));
    if (token.startsWith("'")) return constant(unquoted(this.next()));
    if (token === 'true' || token === 'false') return constant(this.next() === 'true');
    if (this.takes('nil')) return constant(undefined);
    return this.place().get;
  }

  private table(): Expression {
    const items: Expression[] = [];
    while (!this.takes('}')) {
      items.push(this.expression());
      this.takes(',');
    }
    return (scope) => {
      const found = items.flatMap((item, at) => (at === items.length - 1 ? item(scope) : [item(scope)[0]]));
      return [LuaTable.of(found)];
    };
  }

  /** A name, a field, a call, one behind the other. */
  private place(): { readonly get: Expression; readonly set: (scope: Scope, value: LuaValue) => void } {
    let get: Expression;
    let set = (_scope: Scope, _value: LuaValue): void => {
      throw new LuaError('This cannot be assigned to.');
    };
    if (this.takes('(')) {
      const inner = this.expression();
      this.expect(')');
      get = (scope) => [inner(scope)[0]];
    } else {
      const name = this.next();
      get = (scope) => [scopeOf(scope, name)?.names.get(name)];
      set = (scope, value) => {
        const holder = scopeOf(scope, name);
        if (holder === undefined) throw new LuaError(`There is no ${name}.`);
        holder.names.set(name, value);
      };
    }
    for (;;) {
      const holder = get;
      if (this.takes('.')) [get, set] = field(holder, constant(this.next()));
      else if (this.takes('[')) {
        [get, set] = field(holder, this.expression());
        this.expect(']');
      } else if (this.takes('(')) {
        const args = this.takes(')') ? undefined : this.list();
        if (args !== undefined) this.expect(')');
        get = (scope) => {
          const called = holder(scope)[0];
          if (typeof called !== 'function') throw new LuaError('attempt to call what is no function');
          return called(...(args?.(scope) ?? []));
        };
      } else return { get, set };
    }
  }
}

function field(holder: Expression, name: Expression): [Expression, (scope: Scope, value: LuaValue) => void] {
  const tableOf = (scope: Scope): LuaTable => {
    const table = holder(scope)[0];
    if (!(table instanceof LuaTable)) throw new LuaError('attempt to index what is no table');
    return table;
  };
  return [(scope) => [tableOf(scope).get(name(scope)[0])], (scope, value) => tableOf(scope).set(name(scope)[0], value)];
}

function binary(operator: string, left: Expression, right: Expression): Expression {
  if (operator === 'and') return (scope) => (isTrue(left(scope)[0]) ? [right(scope)[0]] : [left(scope)[0]]);
  if (operator === 'or') return (scope) => (isTrue(left(scope)[0]) ? [left(scope)[0]] : [right(scope)[0]]);
  return (scope) => [operate(operator, left(scope)[0], right(scope)[0])];
}

function operate(operator: string, left: LuaValue, right: LuaValue): LuaValue {
  switch (operator) {
    case '==':
      return left === right;
    case '~=':
      return left !== right;
    case '..':
      return textual(left) + textual(right);
    case '+':
      return numeric(left) + numeric(right);
    case '-':
      return numeric(left) - numeric(right);
    case '*':
      return numeric(left) * numeric(right);
    case '/':
      return numeric(left) / numeric(right);
    case '%':
      return numeric(left) % numeric(right);
    default:
      return compared(operator, left, right);
  }
}

/** Lua refuses to compare a text with a number, which a mere reading of the script overlooks. */
function compared(operator: string, left: LuaValue, right: LuaValue): boolean {
  if (typeof left !== typeof right || (typeof left !== 'number' && typeof left !== 'string'))
    throw new LuaError(`attempt to compare ${typeof left} with ${typeof right}`);
  const [a, b] = [left, right as typeof left];
  if (operator === '<') return a < b;
  if (operator === '>') return a > b;
  return operator === '<=' ? a <= b : a >= b;
}

function scopeOf(scope: Scope, name: string): Scope | undefined {
  for (let at: Scope | undefined = scope; at !== undefined; at = at.outer) if (at.names.has(name)) return at;
  return undefined;
}

const constant =
  (value: LuaValue): Expression =>
  () => [value];
const apply =
  (operand: Expression, to: (value: LuaValue) => LuaValue): Expression =>
  (scope) => [to(operand(scope)[0])];
const isTrue = (value: LuaValue): boolean => value !== undefined && value !== false;
const unquoted = (token: string): string => token.slice(1, -1).replaceAll(/\\(.)/g, (_, one: string) => one);

function lengthOf(value: LuaValue): number {
  if (typeof value === 'string') return value.length;
  if (value instanceof LuaTable) return value.length;
  throw new LuaError('attempt to get length of what has none');
}

function numeric(value: LuaValue): number {
  const number = toNumber(value);
  if (number === undefined) throw new LuaError(`attempt to perform arithmetic on a ${typeof value}`);
  return number;
}

export function toNumber(value: LuaValue): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string' || value.trim() === '') return undefined;
  const number = value === 'inf' ? Infinity : Number(value);
  return Number.isNaN(number) ? undefined : number;
}

export function textual(value: LuaValue): string {
  if (typeof value === 'string') return value;
  // as '%.14g' writes it
  if (typeof value === 'number') return value === Infinity ? 'inf' : String(Number(value.toPrecision(14)));
  throw new LuaError(`attempt to concatenate a ${typeof value} value`);
}
