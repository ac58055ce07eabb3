import { rm } from 'node:fs/promises';
import { SocketPlace } from './owner-lock.js';

const NAME = 'owner';

/** Where whoever owns a directory answers other processes: a socket among the claims, in a folder of this user alone. */
export class OwnerSocket {
  private constructor(private readonly place: SocketPlace) {}

  /** `claims` is the folder of claims. Throws `DIRECTORY_UNSUITABLE` if it is too deep for a socket. */
  static async at(claims: string): Promise<OwnerSocket> {
    return new OwnerSocket(await SocketPlace.at(claims));
  }

  /** Good as long as `leave` has not been called. */
  get path(): string {
    return this.place.socketPath(NAME);
  }

  /** Removes what an owner left that was killed. Only the owner may. */
  async clear(): Promise<void> {
    await rm(this.path, { force: true });
  }

  leave(): Promise<void> {
    return this.place.leave();
  }
}
