import assert from 'node:assert/strict';
import type { TierName } from '../entries/tier-name.js';
import type { Tier } from '../tiers/tier.js';
import { CONTRACT_TESTS } from './tier-contract-tests.js';

/** How tests are declared: `describe` and `it` of jest, vitest, mocha or `node:test`. */
export interface TestApi {
  describe(name: string, body: () => void): void;
  it(name: string, body: () => Promise<void>): void;
}

/**
 * The law for every tier, as tests. `create` gives an empty tier that serves the lanes 'standard' and 'heavy'; each
 * test creates its own and closes it. `api` is the global `describe` and `it` unless given.
 *
 * @example
 * ```ts
 * declare function openMyTier(): Promise<Tier>;
 * tierContract('l2', openMyTier);
 * ```
 */
export function tierContract(name: TierName, create: () => Promise<Tier>, api: TestApi = globalApi()): void {
  api.describe(`tier ${name} keeps the contract`, () => {
    api.it(`is named ${name} and is on`, () =>
      withTier(create, async (tier) => {
        assert.equal(tier.name, name);
        assert.deepEqual(tier.state, { state: 'on' });
      }),
    );
    for (const { law, check } of CONTRACT_TESTS) api.it(law, () => withTier(create, check));
  });
}

async function withTier(create: () => Promise<Tier>, check: (tier: Tier) => Promise<void>): Promise<void> {
  const tier = await create();
  try {
    await check(tier);
  } finally {
    await tier.close();
  }
}

function globalApi(): TestApi {
  const api: unknown = globalThis;
  if (isApi(api)) return api;
  throw new TypeError('There is no global describe() and it(): give tierContract() those of your test runner.');
}

function isApi(api: unknown): api is TestApi {
  if (typeof api !== 'object' || api === null) return false;
  return typeof Reflect.get(api, 'describe') === 'function' && typeof Reflect.get(api, 'it') === 'function';
}
