import { nextTurn } from '../../../lib/clock/clock.js';
import type { FakeClock } from '../../../lib/testing/fake-clock.js';
import type { ModelNetwork } from '../../support/model-network.js';

const STEP_MS = 50;
/** A message that is under way for longer has met a bad network. */
const SLOW_MS = 250;

/** Where one process or instance after the other runs, as far as its network decides who moves. */
interface Connected {
  readonly network: ModelNetwork;
  readonly weather: string;
}

/** What a world with a server does after each thing that happened. */
export interface Moves {
  readonly sites: readonly Connected[];
  /** Looks at what has come about. */
  watch(): void;
  /** Does what is not on the network; returns whether there was any. */
  workAside(): boolean;
}

/** Time passes in small steps, so that what is well connected stays so. */
export async function pass(clock: FakeClock, ms: number, moves: Moves): Promise<void> {
  for (let left = ms; left > 0; left -= STEP_MS) {
    await clock.advance(`${Math.min(left, STEP_MS)}ms`);
    await settle(moves);
  }
}

/** Everything that is not held up takes its steps, until nothing moves. */
export async function settle(moves: Moves): Promise<void> {
  for (;;) {
    await nextTurn();
    moves.watch();
    const [step] = moves.sites.filter(({ weather }) => weather !== 'slow').flatMap(({ network }) => network.steps);
    if (step !== undefined) step();
    else if (!moves.workAside()) return;
  }
}

/** Whether a message of the network has been under way for so long that its bound does not hold. */
export const isSlow = ({ waitingSince }: ModelNetwork, nowMs: number): boolean => nowMs - waitingSince > SLOW_MS;
