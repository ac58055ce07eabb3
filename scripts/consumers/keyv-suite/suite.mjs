// The tests that Keyv publishes for its adapters, on a lane, run by node:test.
import keyvTestSuite, { keyvIteratorTests } from '@keyv/test-suite';
import { Keyv } from 'keyv';
import { CacheManager, laneKeyvStore } from 'nestjs-lane-cache';
import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, describe, it } from 'node:test';

const cache = await CacheManager.fromSettings({ directory: false });
after(() => cache.close());

/** The part of vitest's `expect` that the suite uses, for one test. */
function expecting() {
  let [made, planned] = [0, undefined];
  const expect = (actual) => {
    made++;
    return {
      toBe: (expected) => assert.equal(actual, expected),
      toEqual: (expected) => assert.deepEqual(actual, expected),
      toBeTruthy: () => assert.ok(actual),
      toBeFalsy: () => assert.ok(!actual),
      toBeUndefined: () => assert.equal(actual, undefined),
      toBeDefined: () => assert.notEqual(actual, undefined),
      toBeNull: () => assert.equal(actual, null),
      not: { toBe: (other) => assert.notEqual(actual, other), toBeUndefined: () => assert.notEqual(actual, undefined) },
    };
  };
  expect.assertions = (count) => {
    planned = count;
  };
  return { expect, check: () => assert.equal(made, planned ?? made) };
}

async function runOne(test) {
  const { expect, check } = expecting();
  await test({ expect });
  check();
}

const runner = {
  beforeEach: (run) => beforeEach(() => runOne(run)),
  afterEach: (run) => afterEach(() => runOne(run)),
  it: (name, run) => it(name, () => runOne(run)),
};
const store = () => laneKeyvStore(cache);

describe("Keyv's adapter tests", () => keyvTestSuite(runner, Keyv, store));
describe("Keyv's iterator tests", () => keyvIteratorTests(runner, Keyv, store));
