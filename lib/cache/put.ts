import type { Invalidations } from './invalidations.js';
import type { LaneSpace } from './lane-space.js';
import { Payload } from './payload.js';
import { isCutOff } from './cut-off.js';
import { bypassReason } from './requests.js';
import type { Terms } from './terms.js';
import { CUT_OFF, land, refusalOf, refuse, type Refusal } from './write-path.js';

export interface PutRequest {
  readonly key: string;
  readonly value: unknown;
  readonly terms: Terms;
}

/**
 * Stores an explicit value: born now, it supersedes whatever was there and whatever is being computed. Resolves to
 * whether it was stored, once no tier holds an older value.
 */
export async function put(space: LaneSpace, invalidations: Invalidations, asked: PutRequest): Promise<boolean> {
  const { key, value, terms } = asked;
  const { lane, parts } = space;
  const payload = Payload.of({ codec: parts.codec, lane }, value);
  const { tags, ttlMs } = terms;
  const brought = { key, value, payload, tags, ttlMs, computeMs: 0 };
  const refusal = isExcluded(space, key) ?? refusalOf(space, brought);
  await invalidations.superseding(space, key, ({ position }) => {
    if (refusal !== undefined) refuse(space, key, refusal);
    else land(space, brought, { birth: position, flight: 0, terms, expiredAt: undefined });
  });
  return refusal === undefined;
}

function isExcluded(space: LaneSpace, key: string): Refusal | undefined {
  if (isCutOff(space)) return CUT_OFF;
  return bypassReason(space, key) === 'excluded'
    ? { reason: 'strategy', detail: "the lane's include and exclude patterns leave this key out" }
    : undefined;
}
