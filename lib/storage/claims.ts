import { readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../clock/clock.js';
import { randomId } from '../clock/random.js';
import type { Liveness } from './liveness.js';
import { isErrno } from './environment.js';
import { bootId, parseClaimant, type Claimant } from './claimant.js';
import type { SocketPlace } from './socket-place.js';

const CLAIM = '.claim';
const ENTERED = '.owner';
const ID_LENGTH = 16;
const FOREIGN_BOOT_GRACE_MS = 30_000;
const LITTER_AGE_MS = 86_400_000;

/** Somebody else's claim that stands. */
export interface StandingClaim {
  readonly claimant: Claimant;
  /** Whether it has found no other claim standing beside it, and so owns the directory. */
  readonly entered: boolean;
}

/** One's own announced claim. */
export interface Claim {
  readonly id: string;
  /** Tells the others that the directory is owned now. */
  enter(): Promise<void>;
  /** Whether it still lies where others look for it: whoever removes the directory removes the claim as well. */
  stands(): Promise<boolean>;
  /** Leaves a sign of life. */
  beat(): Promise<void>;
  withdraw(): Promise<void>;
}

/**
 * The claims on one directory. A claim is a file and a socket named after its id: the socket listens before the file
 * appears, and the file never moves, so that whoever lists the directory feels every claim that was announced before.
 */
export class Claims {
  constructor(
    private readonly place: SocketPlace,
    private readonly liveness: Liveness,
    private readonly clock: Clock,
  ) {}

  async announce(socket: string | undefined): Promise<Claim> {
    const id = randomId().slice(0, ID_LENGTH);
    const letGo = await this.liveness.hold(this.place.socketPath(id));
    const claimant = { pid: process.pid, host: hostname(), bootId: await bootId(), socket };
    await writeFile(this.path(id, '.tmp'), JSON.stringify(claimant), { mode: 0o600 });
    await rename(this.path(id, '.tmp'), this.path(id, CLAIM));
    return {
      id,
      enter: () => writeFile(this.path(id, ENTERED), '', { mode: 0o600 }),
      stands: () =>
        stat(this.path(id, CLAIM)).then(
          () => true,
          (error: unknown) => !isErrno(error, 'ENOENT') && !isErrno(error, 'ENOTDIR'),
        ),
      beat: () => {
        const now = this.clock.now() / 1000;
        return utimes(this.path(id, CLAIM), now, now);
      },
      withdraw: async () => {
        await letGo();
        await this.forget(id);
      },
    };
  }

  /** Every claim but one's own that stands; those of the dead are forgotten on the way. */
  async others(ownId?: string): Promise<readonly StandingClaim[]> {
    const names = await readdir(this.place.directory);
    const standing: StandingClaim[] = [];
    for (const name of names) {
      const id = name.slice(0, -CLAIM.length);
      if (!name.endsWith(CLAIM) || id === ownId) continue;
      const claimant = parseClaimant(await readFile(this.path(id, CLAIM), 'utf8').catch(() => ''));
      if (await this.stands(id, claimant)) standing.push({ claimant, entered: names.includes(`${id}${ENTERED}`) });
      else await this.forget(id);
    }
    return standing;
  }

  /** Removes what processes left that died between holding and announcing. */
  async tidy(): Promise<void> {
    for (const name of await readdir(this.place.directory)) {
      const path = join(this.place.directory, name);
      const status = await stat(path).catch(() => undefined);
      if (name.endsWith(CLAIM) || status === undefined) continue;
      const id = name.slice(0, ID_LENGTH);
      const isOld = this.clock.now() - status.mtimeMs > LITTER_AGE_MS;
      if (isOld && !(await this.liveness.isHeld(this.place.socketPath(id)))) await rm(path, { force: true });
    }
  }

  private async stands(id: string, claimant: Claimant): Promise<boolean> {
    if (await this.liveness.isHeld(this.place.socketPath(id))) return true;
    if (claimant.bootId === undefined || claimant.bootId === (await bootId())) return false;
    // another kernel cannot be felt; one that shares this disk, against all rules, shows by its signs of life
    const status = await stat(this.path(id, CLAIM)).catch(() => undefined);
    return status !== undefined && Math.abs(this.clock.now() - status.mtimeMs) < FOREIGN_BOOT_GRACE_MS;
  }

  private async forget(id: string): Promise<void> {
    await rm(this.path(id, CLAIM), { force: true });
    await rm(this.path(id, ENTERED), { force: true });
    await rm(this.place.socketPath(id), { force: true });
  }

  private path(id: string, suffix: string): string {
    return join(this.place.directory, `${id}${suffix}`);
  }
}
