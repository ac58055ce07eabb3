import { expect } from '@jest/globals';
import { types } from 'node:util';

/** Jest compares bytes one by one, which takes seconds for a large value. What is not equal is left to its own comparison. */
expect.addEqualityTesters([
  (a, b) =>
    types.isUint8Array(a) && types.isUint8Array(b) && a.constructor === b.constructor && Buffer.compare(a, b) === 0
      ? true
      : undefined,
]);
