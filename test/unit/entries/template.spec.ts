import { describe, expect, it } from '@jest/globals';
import { assert, constantFrom, pre, property, string } from 'fast-check';
import { Template } from '../../../lib/entries/template.js';

const key = (text: string) => Template.compile(text, 'key');
const render = (text: string, ...args: unknown[]) => key(text).render(args);

describe('a template', () => {
  it('puts arguments and their properties in place', () => {
    expect(render('doc:{0}', 'readme.md')).toBe('doc:readme.md');
    expect(render('user:{0.id}:{1}', { id: 7 }, 'posts')).toBe('user:7:posts');
    expect(render('{1}/{0.a.b}', { a: { b: true } }, 5n)).toBe('5/true');
    expect(render('{0.length}', 'abc')).toBe('3');
  });

  it('keeps braces that are not placeholders', () => {
    expect(render('{{0}:{0}', 'x')).toBe('{0}:x');
    expect(render('a}b')).toBe('a}b');
    expect(render('{{}', 1)).toBe('{}');
  });

  it('renders 1 and "1" alike, as a key written by hand would be', () => {
    expect(render('doc:{0}', 1)).toBe(render('doc:{0}', '1'));
  });

  it.each([undefined, null, {}, [], () => 'x', Symbol('x'), new Date(0)])(
    'renders nothing for the value %p',
    (value) => {
      expect(render('doc:{0}', value)).toBeUndefined();
    },
  );

  it('renders nothing when a property on the path is missing', () => {
    expect(render('{0.a.b}', {})).toBeUndefined();
    expect(render('{0.a.b}', null)).toBeUndefined();
    expect(render('{1}', 'only one')).toBeUndefined();
  });

  it('accepts empty texts, zero and false as values', () => {
    expect(render('{0}:{1}:{2}', '', 0, false)).toBe(':0:false');
  });

  it.each(['{', 'a{', '{}', '{x}', '{0', '{0.}', '{0.1}', '{-1}', '{ 0 }', '{0}{1}', '{0}and{1}', '{0}%{1}'])(
    'refuses %p when it is compiled',
    (text) => {
      expect(() => key(text)).toThrow(text);
    },
  );

  it('lists the arguments that it uses', () => {
    expect(key('{2}:{0.id}').arguments).toEqual([2, 0]);
    expect(key('all').arguments).toEqual([]);
  });

  it('leaves the last value as it is, and encodes in others the mark that ends them', () => {
    expect(render('doc:{0}', 'a:b%c')).toBe('doc:a:b%c');
    expect(render('{0}:{1}', 'a:b', 'c:d')).toBe('a%3ab:c:d');
    expect(render('{0}:{1}', '100%', 'x')).toBe('100%25:x');
  });

  it('renders a placeholder the same whatever follows beyond its mark, so that a pattern finds the keys', () => {
    const stored = render('user:{0}:{1}', 'a:b', 'posts') ?? '';
    const pattern = Template.compile('user:{0}:*', 'pattern').render(['a:b']) ?? '';
    expect(stored.startsWith(pattern.slice(0, -1))).toBe(true);
  });

  it('lets a wildcard inside a value match one character at most', () => {
    const pattern = Template.compile('doc:{0}:*', 'pattern');
    expect(pattern.render(['*'])).toBe('doc:?:*');
    expect(pattern.render(['a?b'])).toBe('doc:a?b:*');
    expect(Template.compile('{0}*', 'pattern').render(['x'])).toBe('x*');
  });

  it('distinguishes different values, whatever they contain', () => {
    const text = string({ unit: constantFrom(':', '/', '%', '3', 'a', '{', '') });
    const marks = constantFrom('{0}:{1}', '{0}/{1}', 'x{0}a:a{1}y', '{0}::{1}', '{1}:{0}:z');
    assert(
      property(marks, text, text, text, text, (template, a, b, c, d) => {
        pre(a !== c || b !== d);
        expect(render(template, a, b)).not.toBe(render(template, c, d));
      }),
      { numRuns: 2_000 },
    );
  });
});
