import { describe, expect, it } from '@jest/globals';
import { isDeepStrictEqual } from 'node:util';
import { privateMemberOf } from '../../../../lib/entries/codec/class-kinds.js';
import { ValueCodec } from '../../../../lib/entries/codec/value-codec.js';

class Open {
  // a #comment is no member
  readonly text = '#text';
  readonly color = /#[a-f]{6}/;
  private readonly typed = `#${this.text};`;

  get shown(): string {
    return `${this.typed} { #braces = }`;
  }
}

class WithField {
  readonly #secret = 1;

  reveal(): number {
    return this.#secret;
  }
}

class WithAccessor {
  get #hidden(): number {
    return 1;
  }

  reveal(): number {
    return this.#hidden;
  }
}

class WithMethod {
  #work(): number {
    return 1;
  }

  do(): number {
    return this.#work();
  }
}

class OfTheClass {
  readonly order = OfTheClass.#made;
  static #made = 0;
  static readonly #names = new Set<string>();

  static make(): OfTheClass {
    OfTheClass.#names.add(String(++OfTheClass.#made));
    return new OfTheClass();
  }
}

class Inherited extends WithField {}

/** Private fields as compilers write them for older engines. */
function compiled(helper: string): unknown {
  return new Function(`return class Compiled { reveal() { return ${helper}(this, secret); } }`)();
}

describe('private members', () => {
  it.each<[string, unknown, string]>([
    ['a field', WithField, '#secret'],
    ['an accessor', WithAccessor, '#hidden'],
    ['a method', WithMethod, '#work'],
    ['what is inherited', Inherited, '#secret'],
    ['what TypeScript made of one', compiled('__classPrivateFieldGet'), '#…'],
    ['what swc made of one', compiled('_class_private_field_get'), '#…'],
    ['what Babel made of one', compiled('_classPrivateFieldGet2'), '#…'],
  ])('are found: %s', (_, type, member) => {
    expect(privateMemberOf(type)).toBe(member);
  });

  it.each<[string, unknown]>([
    ['in texts, expressions and comments', Open],
    ['in those of the class itself', OfTheClass],
    ['in classes of the language', Map],
    ['in what is not a class', undefined],
  ])('are not seen %s', (_, type) => {
    expect(privateMemberOf(type)).toBeUndefined();
  });

  it.each<[string, object]>([
    ['a URL', new URL('http://a/b')],
    ['search parameters', new URLSearchParams('a=1')],
    ['an instance of a class', new WithField()],
  ])('leave an object that is what it shows, once its prototype is that of plain objects: %s', (_, object) => {
    Object.setPrototypeOf(object, Object.prototype);
    const codec = new ValueCodec();
    const encoded = codec.encode(object);
    const restored = encoded.storable ? codec.decode(encoded.bytes) : undefined;
    expect(restored).toEqual({});
    expect(isDeepStrictEqual(restored, object)).toBe(true);
  });
});
