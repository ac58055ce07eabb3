import type { LaneSpace } from './lane-space.js';

/** This instance has been away from the others for so long that nothing they share may be served or kept here. */
export function isCutOff({ parts, policy }: Pick<LaneSpace, 'parts' | 'policy'>): boolean {
  return parts.shared?.isStale === true && policy.l4.enabled;
}

/** This process was held up, and has yet to hear what others said meanwhile: what it holds may have been named. */
export function isBehind({ parts, policy }: Pick<LaneSpace, 'parts' | 'policy'>): boolean {
  return parts.shared !== undefined && parts.life.now() >= parts.shared.heardUntil && policy.l4.enabled;
}

/**
 * For a caller who comes when this process was held up: resolves as soon as the others have been heard again, in a moment.
 * To compute at once instead would hold up a busy process all the more. Undefined for everybody else.
 */
export function untilHeard(space: Pick<LaneSpace, 'parts' | 'policy'>): Promise<void> | undefined {
  return isBehind(space) ? space.parts.shared?.heardAgain() : undefined;
}
