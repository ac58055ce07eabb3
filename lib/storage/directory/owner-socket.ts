import { open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { LaneCacheError } from '../../errors/lane-cache.error.js';

/** A longer socket address would be cut off in silence, and lead somewhere else. */
const MAX_SOCKET_PATH_BYTES = 100;
const LONGEST_NAME = 24;

/** A directory for sockets. On Linux it may lie as deep as it likes: its sockets are addressed by way of a descriptor. */
export class SocketPlace {
  private constructor(
    readonly directory: string,
    private readonly handle: FileHandle | undefined,
  ) {}

  /** Throws `DIRECTORY_UNSUITABLE` if the path is too long and the system knows no way round. */
  static async at(directory: string): Promise<SocketPlace> {
    const fits = Buffer.byteLength(directory) + LONGEST_NAME <= MAX_SOCKET_PATH_BYTES;
    if (fits || process.platform === 'win32') return new SocketPlace(directory, undefined);
    if (process.platform === 'linux') return new SocketPlace(directory, await open(directory, 'r'));
    throw new LaneCacheError(
      'DIRECTORY_UNSUITABLE',
      `${directory} is too deep for a socket, whose path may take ${MAX_SOCKET_PATH_BYTES} bytes here. Choose a shorter one.`,
      { field: 'directory' },
    );
  }

  socketPath(name: string): string {
    const file = `${name}.sock`;
    return this.handle === undefined ? join(this.directory, file) : `/proc/self/fd/${this.handle.fd}/${file}`;
  }

  async leave(): Promise<void> {
    await this.handle?.close();
  }
}

const NAME = 'owner';

/**
 * Where the owner of a directory answers other processes: `owner.sock`, in the folder of claims. The claim decides who
 * owns the directory, and its own socket only shows that the owner lives. This one carries the calls; the owner opens it
 * after its claim has prevailed.
 */
export class OwnerSocket {
  private constructor(private readonly place: SocketPlace) {}

  /** `claims` is the folder of claims. Throws `DIRECTORY_UNSUITABLE` if it is too deep for a socket. */
  static async at(claims: string): Promise<OwnerSocket> {
    return new OwnerSocket(await SocketPlace.at(claims));
  }

  /** Valid until `leave` is called. */
  get path(): string {
    return this.place.socketPath(NAME);
  }

  /** Removes the socket of an owner that was killed. Only the owner may call it. */
  async clear(): Promise<void> {
    await rm(this.path, { force: true });
  }

  leave(): Promise<void> {
    return this.place.leave();
  }
}
