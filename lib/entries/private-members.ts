import { Script } from 'node:vm';

/** As it is written: `#x`, also in texts and comments, which is not one. */
const NAME = /#[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*/gu;
/** As compilers write it for older engines. */
const COMPILED = /_+class_?private_?(?:field|method)/i;

/**
 * A private member (`#x`) of the instances of a class or of those it extends; undefined if there is none. Nobody outside
 * the class can read it, nor make an object that has it without running the constructor.
 */
export function privateMemberOf(type: unknown): string | undefined {
  for (let at = type; typeof at === 'function'; at = Object.getPrototypeOf(at)) {
    const source = Function.prototype.toString.call(at);
    if (COMPILED.test(source)) return '#…';
    const found = [...new Set(source.match(NAME))].find((name) => declares(source, name));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The engine's own parser knows: a class may not declare a private name twice. */
function declares(source: string, name: string): boolean {
  if (new RegExp(`\\bstatic\\s[^;{}=]*${name.replaceAll('$', '\\$')}`, 'u').test(source)) return false;
  return isClass(source) && !isClass(`${source.slice(0, -1)};${name};}`);
}

/** Compiles the text of a class, and does not run it. */
function isClass(source: string): boolean {
  try {
    return new Script(`(${source})`) instanceof Script;
  } catch {
    return false;
  }
}
