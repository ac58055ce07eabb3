// The tests that Keyv publishes for its adapters, on a lane, run by node:test.
import keyvTestSuite, { keyvIteratorTests } from '@keyv/test-suite';
import { Keyv } from 'keyv';
import { CacheManager, laneKeyvStore } from 'nestjs-lane-cache';
import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, describe, it } from 'node:test';

const cache = await CacheManager.fromSettings({ directory: false });
after(() => cache.close());

/** As much of vitest's `expect` as the suite uses. */
const expect = (actual) => ({
  toBe: (expected) => assert.equal(actual, expected),
  toEqual: (expected) => assert.deepEqual(actual, expected),
  toStrictEqual: (expected) => assert.deepStrictEqual(actual, expected),
  toBeTruthy: () => assert.ok(actual),
  toBeFalsy: () => assert.ok(!actual),
  toBeUndefined: () => assert.equal(actual, undefined),
  toBeDefined: () => assert.notEqual(actual, undefined),
  not: { toBe: (other) => assert.notEqual(actual, other), toBeUndefined: () => assert.notEqual(actual, undefined) },
  toBeNull: () => assert.equal(actual, null),
});
const runner = {
  beforeEach: (run) => beforeEach(() => run({ expect })),
  afterEach: (run) => afterEach(() => run({ expect })),
  it: (name, run) => it(name, () => run({ expect })),
};
const store = () => laneKeyvStore(cache);

describe("Keyv's adapter tests", () => keyvTestSuite(runner, Keyv, store));
describe("Keyv's iterator tests", () => keyvIteratorTests(runner, Keyv, store));
