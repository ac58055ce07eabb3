import { describe, expect, it } from '@jest/globals';
import { CacheType, withDeclaration } from '../../../lib/decorators/cache-type.decorator.js';

const migrate = (): undefined => undefined;

describe('@CacheType', () => {
  @CacheType({ name: 'money', version: 2, migrate })
  class Money {
    cents = 0;
  }
  class Coin extends Money {}
  class Plain {
    cents = 0;
  }

  it('defines how a listed class is stored', () => {
    expect(withDeclaration(Money)).toEqual({ type: Money, name: 'money', version: 2, migrate });
  });

  it('yields to the options of the list', () => {
    expect(withDeclaration({ type: Money, version: 3 })).toEqual({ type: Money, name: 'money', version: 3, migrate });
  });

  it('does not apply to subclasses, and leaves nothing visible on the class', () => {
    expect(withDeclaration(Coin)).toBe(Coin);
    expect(withDeclaration(Plain)).toBe(Plain);
    expect(Object.keys(Money)).toEqual([]);
  });
});
