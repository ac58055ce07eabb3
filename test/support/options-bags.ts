import { resolve, sep } from 'node:path';
import ts from 'typescript';

/** What a value may be, as far as a wrong one can be distinguished from it. */
type Category = 'text' | 'word' | 'number' | 'flag' | 'function' | 'list' | 'bag' | 'record' | 'instance' | 'anything';

export interface OptionName {
  readonly name: string;
  readonly isRequired: boolean;
  readonly categories: ReadonlySet<Category>;
  /** Of the parts of a list, or of the values of a record. */
  readonly parts: ReadonlySet<Category>;
}

/** One step from a bag to one that lies in it. */
export interface Step {
  readonly name: string;
  readonly through: 'value' | 'list' | 'record' | 'result';
}

/** An object of options that a public call takes, or that lies in one. */
export interface Bag {
  /** `CacheManager.getOrSet` */
  readonly call: string;
  readonly steps: readonly Step[];
  /** The call, and the way to the bag: `LaneCacheModule.forRoot.lanes{}.l1`. */
  readonly label: string;
  readonly names: readonly OptionName[];
}

const ENTRY_POINTS = ['lib/index.ts', 'lib/redis/index.ts', 'lib/health/index.ts', 'lib/testing/index.ts'];
const LIB = resolve('lib') + sep;

/** The options of a call with `inner` as the bag in question. `around` gives what else lies in a bag on the way. */
export function nested(steps: readonly Step[], inner: unknown, around: (way: string) => object): unknown {
  let given = inner;
  for (let depth = steps.length - 1; depth >= 0; depth--) {
    const step = steps[depth];
    if (step === undefined) continue;
    const value = given;
    const wrapped = {
      value,
      list: [value],
      record: { standard: value },
      result: () => value,
    }[step.through];
    given = step.name === '' ? wrapped : { ...around(wayOf(steps.slice(0, depth))), [step.name]: wrapped };
  }
  return given;
}

export const wayOf = (steps: readonly Step[]): string => steps.map(stepText).join('');

/** Every bag of options that the public calls take, from the types of the package's entry points. */
export function publicBags(): readonly Bag[] {
  const { config }: { readonly config?: { readonly compilerOptions: unknown } } = ts.readConfigFile(
    'tsconfig.json',
    (path) => ts.sys.readFile(path),
  );
  const { options } = ts.convertCompilerOptionsFromJson(config?.compilerOptions, process.cwd());
  const program = ts.createProgram(ENTRY_POINTS, { ...options, noEmit: true });
  const walk = new Walk(program.getTypeChecker());
  for (const path of ENTRY_POINTS) walk.entryPoint(program.getSourceFile(path));
  return walk.bags;
}

class Walk {
  readonly bags: Bag[] = [];
  private readonly seen = new Set<ts.Node | ts.Symbol>();

  constructor(private readonly checker: ts.TypeChecker) {}

  entryPoint(file: ts.SourceFile | undefined): void {
    const module = file === undefined ? undefined : this.checker.getSymbolAtLocation(file);
    if (module === undefined) throw new Error('An entry point is missing.');
    for (const exported of this.checker.getExportsOfModule(module)) this.value(exported);
  }

  private value(exported: ts.Symbol): void {
    const isAlias = (exported.flags & ts.SymbolFlags.Alias) !== 0;
    const symbol = isAlias ? this.checker.getAliasedSymbol(exported) : exported;
    if ((symbol.flags & ts.SymbolFlags.Function) !== 0) {
      this.calls(exported.name, this.checker.getTypeOfSymbol(symbol));
    } else if ((symbol.flags & ts.SymbolFlags.Class) !== 0) {
      const statics = this.checker.getPropertiesOfType(this.checker.getTypeOfSymbol(symbol));
      for (const method of statics) this.member(exported.name, method);
      this.instance(exported.name, this.checker.getDeclaredTypeOfSymbol(symbol));
    }
  }

  private instance(name: string, type: ts.Type): void {
    for (const member of this.checker.getPropertiesOfType(type)) this.member(name, member);
  }

  private member(owner: string, member: ts.Symbol): void {
    const declarations = member.declarations ?? [];
    if (declarations.length === 0 || !declarations.every((declaration) => isPublic(declaration))) return;
    const type = this.checker.getTypeOfSymbol(member);
    if (type.getCallSignatures().length > 0) this.calls(`${owner}.${member.name}`, type);
    else this.result(type);
  }

  private calls(label: string, type: ts.Type): void {
    for (const signature of type.getCallSignatures()) {
      for (const parameter of signature.parameters) {
        const { valueDeclaration } = parameter;
        if (valueDeclaration === undefined || this.seen.has(valueDeclaration)) continue;
        this.seen.add(valueDeclaration);
        this.within(label, [], this.checker.getTypeOfSymbol(parameter), undefined);
      }
      this.result(signature.getReturnType());
    }
  }

  /** What a call gives may have calls of its own. */
  private result(given: ts.Type): void {
    for (const type of constituents(this.checker.getAwaitedType(given) ?? given)) {
      const symbol = type.getSymbol();
      if (symbol === undefined || this.seen.has(symbol) || !isOurs(symbol)) {
        if (type.isIntersection()) type.types.forEach((part) => this.result(part));
        continue;
      }
      this.seen.add(symbol);
      const name = symbol.name.startsWith('__') ? 'result' : symbol.name;
      if (type.isClassOrInterface() || hasMethods(type) || symbol.name.startsWith('__')) this.instance(name, type);
      else if (isReference(type)) this.instance(name, type.target);
    }
  }

  /** The bags among what `type` may be, and those in them. */
  private within(call: string, steps: readonly Step[], type: ts.Type, name: string | undefined): void {
    const through = (how: Step['through']): readonly Step[] =>
      name === undefined
        ? how === 'value'
          ? steps
          : [...steps, { name: '', through: how }]
        : [...steps, { name, through: how }];
    for (const part of constituents(type)) {
      if (this.isBag(part)) this.bag(call, through('value'), part);
      const element = this.elementOf(part);
      if (element !== undefined) this.partsWithin(call, through('list'), element);
      const values = part.getStringIndexType();
      if (values !== undefined) this.partsWithin(call, through('record'), values);
      if (name === undefined) continue;
      for (const signature of part.getCallSignatures()) {
        const result = signature.getReturnType();
        this.partsWithin(call, through('result'), this.checker.getAwaitedType(result) ?? result);
      }
    }
  }

  private partsWithin(call: string, steps: readonly Step[], type: ts.Type): void {
    for (const part of constituents(type)) if (this.isBag(part)) this.bag(call, steps, part);
  }

  private bag(call: string, steps: readonly Step[], type: ts.Type): void {
    const properties = this.checker.getPropertiesOfType(type);
    const label = call + wayOf(steps);
    if (this.bags.some((bag) => bag.label === label)) return;
    const names = properties.map((property) => this.optionName(property));
    this.bags.push({ call, steps, label, names });
    for (const property of properties) {
      this.within(call, steps, this.checker.getTypeOfSymbol(property), property.name);
    }
  }

  private optionName(property: ts.Symbol): OptionName {
    const type = this.checker.getTypeOfSymbol(property);
    const parts = constituents(type).map((part) => this.elementOf(part) ?? part.getStringIndexType());
    return {
      name: property.name,
      isRequired: (property.flags & ts.SymbolFlags.Optional) === 0,
      categories: this.categoriesOf(type),
      parts: new Set(parts.flatMap((part) => (part === undefined ? [] : [...this.categoriesOf(part)]))),
    };
  }

  private categoriesOf(type: ts.Type): ReadonlySet<Category> {
    return new Set(constituents(type).map((part) => this.categoryOf(part)));
  }

  private categoryOf(type: ts.Type): Category {
    if ((type.flags & (ts.TypeFlags.StringLiteral | ts.TypeFlags.TemplateLiteral)) !== 0) return 'word';
    if ((type.flags & ts.TypeFlags.StringLike) !== 0 || type.isIntersection()) return 'text';
    if ((type.flags & ts.TypeFlags.NumberLike) !== 0) return 'number';
    if ((type.flags & ts.TypeFlags.BooleanLike) !== 0) return 'flag';
    if ((type.flags & ts.TypeFlags.NonPrimitive) !== 0) return 'instance';
    if ((type.flags & ts.TypeFlags.Object) === 0) return 'anything';
    if (type.getCallSignatures().length + type.getConstructSignatures().length > 0) return 'function';
    if (this.elementOf(type) !== undefined) return 'list';
    if (this.isBag(type)) return 'bag';
    return type.getStringIndexType() === undefined ? 'instance' : 'record';
  }

  private elementOf(type: ts.Type): ts.Type | undefined {
    return this.checker.isArrayLikeType(type) ? type.getNumberIndexType() : undefined;
  }

  /** An object of ours with optional properties and no methods: one with methods is a port, which others fill in. */
  private isBag(type: ts.Type): boolean {
    if ((type.flags & ts.TypeFlags.Object) === 0 || type.getCallSignatures().length > 0 || hasMethods(type))
      return false;
    if (this.elementOf(type) !== undefined) return false;
    const properties = this.checker.getPropertiesOfType(type);
    if (!properties.some((property) => (property.flags & ts.SymbolFlags.Optional) !== 0)) return false;
    return properties.every((property) => isOurs(property) || property.name === 'imports');
  }
}

function constituents(type: ts.Type): readonly ts.Type[] {
  const all = type.isUnion() ? type.types : [type];
  return all.filter((part) => (part.flags & (ts.TypeFlags.Undefined | ts.TypeFlags.Void)) === 0);
}

function hasMethods(type: ts.Type): boolean {
  return type
    .getProperties()
    .some(({ declarations = [] }) =>
      declarations.some((node) => ts.isMethodSignature(node) || ts.isMethodDeclaration(node)),
    );
}

const isReference = (type: ts.Type): type is ts.TypeReference => 'target' in type;

const isOurs = ({ declarations = [] }: ts.Symbol): boolean =>
  declarations.length > 0 && declarations.every((node) => resolve(node.getSourceFile().fileName).startsWith(LIB));

function isPublic(declaration: ts.Declaration): boolean {
  const hidden = ts.ModifierFlags.Private | ts.ModifierFlags.Protected;
  if ((ts.getCombinedModifierFlags(declaration) & hidden) !== 0) return false;
  return !ts.getJSDocTags(declaration).some((tag) => tag.tagName.text === 'internal');
}

function stepText({ name, through }: Step): string {
  const marks = { value: '', list: '[]', record: '{}', result: '()' };
  return `${name === '' ? '' : `.${name}`}${marks[through]}`;
}
