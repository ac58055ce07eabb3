import { type Clock, nextTurn } from '../../clock/clock.js';
import { KeepAlive } from '../../clock/keep-alive.js';
import type { SaveOutcome } from '../checkpoint-store.js';

/** How long a caller that met a conflict may take to read the new version and to save again before others. */
const TURN_MS = 25;

type Save = () => Promise<SaveOutcome>;

/** A save that waits for the turn of its caller. */
interface WaitingSave {
  readonly save: Save;
  readonly resolve: (outcome: SaveOutcome) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Lets the processes that save one id with an expected version take turns. Without turns the owner of the directory,
 * which reads and saves without a socket in between, would win each race.
 *
 * A conflict begins the turn of its caller: until its next save the saves of other callers wait, but not for longer than
 * 25 ms. Callers that wait have their turns in the order in which they came. A caller is a process, not one of its calls.
 */
export class SaveTurns {
  private readonly races = new Map<string, Race>();
  private readonly keepAlive = new KeepAlive();

  constructor(private readonly clock: Clock) {}

  /** Runs `save` at once if no other caller has its turn, else in the turn of `caller`. */
  async take(id: string, caller: object, save: Save): Promise<SaveOutcome> {
    const before = this.races.get(id);
    if (before !== undefined && before.caller !== caller) return this.wait(before, caller, save);
    const outcome = await save();
    const race = this.races.get(id);
    if (outcome.outcome === 'saved') {
      if (race?.caller === caller) race.next();
      return outcome;
    }
    if (race !== undefined && race.caller !== caller) return this.wait(race, caller, save);
    if (race === undefined) this.races.set(id, new Race(caller, this.clock, () => this.races.delete(id)));
    return outcome;
  }

  private wait(race: Race, caller: object, save: Save): Promise<SaveOutcome> {
    return this.keepAlive.during(
      new Promise<SaveOutcome>((resolve, reject) => race.wait(caller, { save, resolve, reject })),
    );
  }
}

/** The turns of one id. It ends when nobody waits. */
class Race {
  private readonly waiting = new Map<object, WaitingSave[]>();
  private turn = 0;
  private cancel: () => void;

  /** `caller` has met a conflict, and has the first turn. */
  constructor(
    public caller: object,
    private readonly clock: Clock,
    private readonly ended: () => void,
  ) {
    this.cancel = this.limit();
  }

  wait(caller: object, save: WaitingSave): void {
    const saves = this.waiting.get(caller);
    if (saves === undefined) this.waiting.set(caller, [save]);
    else saves.push(save);
  }

  /** Ends the turn, and begins that of the caller that has waited longest. */
  next(): void {
    this.cancel();
    this.turn++;
    const [first] = this.waiting;
    if (first === undefined) return this.ended();
    const [caller, saves] = first;
    this.caller = caller;
    this.waiting.delete(caller);
    void this.tryAll(saves, this.turn);
  }

  /** One save ends the turn. If there are only conflicts, the caller has time to read and to save again. */
  private async tryAll(saves: readonly WaitingSave[], turn: number): Promise<void> {
    for (const [index, { save, resolve, reject }] of saves.entries()) {
      try {
        const outcome = await save();
        resolve(outcome);
        if (outcome.outcome === 'conflict') continue;
        for (const left of saves.slice(index + 1)) this.wait(this.caller, left);
        if (this.turn === turn) this.next();
        return;
      } catch (error) {
        reject(error);
      }
    }
    if (this.turn === turn) this.cancel = this.limit();
  }

  /** A save that has arrived already is served before the turn ends. */
  private limit(): () => void {
    const { turn } = this;
    return this.clock.schedule(TURN_MS, () => {
      void nextTurn().then(() => {
        if (this.turn === turn) this.next();
      });
    });
  }
}
