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

  it('says how a listed class is stored', () => {
    expect(withDeclaration(Money)).toEqual({ type: Money, name: 'money', version: 2, migrate });
  });

  it('gives way to what the list itself says', () => {
    expect(withDeclaration({ type: Money, version: 3 })).toEqual({ type: Money, name: 'money', version: 3, migrate });
  });

  it('says nothing about subclasses, nor anything visible', () => {
    expect(withDeclaration(Coin)).toBe(Coin);
    expect(withDeclaration(Plain)).toBe(Plain);
    expect(Object.keys(Money)).toEqual([]);
  });
});
