import { types } from 'node:util';
import { MalformedValue, type Kind } from './kind.js';
import { refuseExtras } from './property-cells.js';

/** Cells: epoch milliseconds, NaN for an invalid date. */
const dateKind: Kind<Date> = {
  name: 'Date',
  prototype: Date.prototype,
  isReal: (value): value is Date => types.isDate(value),
  lower: (date, writer) => {
    refuseExtras(date, writer);
    return [Date.prototype.getTime.call(date)];
  },
  shell: (cells) => new Date(cells.number(0)),
};

/** Cells: source, flags, lastIndex. */
const regExpKind: Kind<RegExp> = {
  name: 'RegExp',
  prototype: RegExp.prototype,
  isReal: (value): value is RegExp => types.isRegExp(value),
  lower: (expression, writer) => {
    refuseExtras(expression, writer, 'lastIndex');
    const { source, flags, lastIndex } = expression;
    return [writer.cell(source, 'source'), flags, writer.cell(lastIndex, 'lastIndex')];
  },
  shell: (cells) => new RegExp(cells.text(0), cells.text(1)),
  fill: (expression, cells) => {
    expression.lastIndex = cells.number(2);
  },
};

/** Cells: the address. */
const urlKind: Kind<URL> = {
  name: 'URL',
  prototype: URL.prototype,
  isReal: (value): value is URL => value instanceof URL,
  lower: (url, writer) => {
    const { href } = url;
    refuseExtras(url, writer);
    return [href];
  },
  shell: (cells) => new URL(cells.text(0)),
};

/** Boxed primitives. Cells: the primitive. */
const boxKinds = [Number.prototype, String.prototype, Boolean.prototype, BigInt.prototype].map(
  (prototype: object): Kind => ({
    name: `Boxed${prototype.constructor.name}`,
    prototype,
    isReal: (value): value is object => types.isBoxedPrimitive(value) && !types.isSymbolObject(value),
    lower: (box, writer) => {
      const primitive: unknown = box.valueOf();
      const ownKeys = typeof primitive === 'string' ? [...Array(primitive.length).keys(), 'length'].map(String) : [];
      refuseExtras(box, writer, ...ownKeys);
      return [writer.cell(primitive, { words: '.valueOf()' })];
    },
    shell: (cells) => {
      const primitive = cells.value(0);
      const box: unknown = Object(primitive);
      if (typeof box !== 'object' || box === null || box === primitive || Object.getPrototypeOf(box) !== prototype)
        throw new MalformedValue('A boxed primitive holds something else.');
      return box;
    },
  }),
);

/** What holds no other value. */
export const scalarKinds: readonly Kind[] = [dateKind, regExpKind, urlKind, ...boxKinds];
