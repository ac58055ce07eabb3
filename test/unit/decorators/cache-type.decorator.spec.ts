import { describe, expect, it } from '@jest/globals';
import { CacheType, withDeclaration } from '../../../lib/decorators/cache-type.decorator.js';

describe('@CacheType', () => {
  const migrate = () => undefined;

  @CacheType({ name: 'money', version: 2, migrate })
  class Money {}
  class Coin extends Money {}
  class Plain {}

  it('says how a listed class is stored', () => {
    expect(withDeclaration(Money)).toEqual({ type: Money, name: 'money', version: 2, migrate });
  });

  it('gives way to what the list itself says', () => {
    expect(withDeclaration({ type: Money, version: 3 })).toEqual({ type: Money, name: 'money', version: 3, migrate });
  });

  it('says nothing about subclasses, nor anything visible', () => {
    expect(withDeclaration(Coin)).toBe(Coin);
    expect(withDeclaration(Plain)).toBe(Plain);
    expect(Object.getOwnPropertySymbols({ ...Money })).toEqual([]);
  });
});
