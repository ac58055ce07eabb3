import { appendFile, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { randomId } from '../../clock/clock.js';
import { orFault } from '../environment.js';
import { syncDirectory } from '../files/private-directory.js';

const OUTBOX_PREFIX = 'outbox-';
/** Files of earlier releases are read too. */
const OUTBOX_PREFIXES = [OUTBOX_PREFIX, 'unsaid-'];
/** A file with so many more lines than it needs, twice over, is followed by another. */
const SPARE_LINES = 10_000;

/**
 * Texts by id that outlive the process until they are done with. They lie in files of their own, because they must
 * outlive the persistent tier as well: it is voided just when it is known to have missed something.
 */
export class OutboxFiles {
  /** What earlier processes have left. */
  readonly found: ReadonlyMap<string, string>;
  private readonly kept: Map<string, string>;
  private fresh = new Map<string, string>();
  /** The file of this process, and its number of lines. */
  private own: { readonly path: string; lines: number } | undefined;
  private working: Promise<unknown> = Promise.resolve();
  private next: Promise<void> | undefined;

  /** What lies in `root` now. A process that lives may be done with some of it. */
  static async read(root: string): Promise<ReadonlyMap<string, string>> {
    return new Map((await filesIn(root)).flatMap(({ texts }) => texts));
  }

  /** A file that cannot be read is left for a later process. */
  static async open(root: string): Promise<OutboxFiles> {
    const readable = await filesIn(root);
    const found = new Map(readable.flatMap(({ texts }) => texts));
    return new OutboxFiles(root, found, new Set(readable.map(({ path }) => path)));
  }

  private constructor(
    private readonly root: string,
    found: ReadonlyMap<string, string>,
    private readonly paths: Set<string>,
  ) {
    this.found = found;
    this.kept = new Map(found);
    if (found.size === 0) this.removeSpent();
  }

  /** Resolves when they are on disk durably. Concurrent calls share one write. Rejects with `StorageFault`. */
  keep(texts: ReadonlyMap<string, string>): Promise<void> {
    for (const [id, text] of texts) {
      this.kept.set(id, text);
      this.fresh.set(id, text);
    }
    this.next ??= this.inTurn(() => {
      this.next = undefined;
      return this.write();
    });
    return this.next;
  }

  /** Forgets records that were published. When none is left, the files are removed. */
  forget(ids: readonly string[]): void {
    for (const id of ids) this.kept.delete(id);
    if (this.kept.size === 0) this.removeSpent();
  }

  private async write(): Promise<void> {
    const { fresh, kept, root, paths } = this;
    this.fresh = new Map();
    const isSpent = this.own !== undefined && this.own.lines > 2 * kept.size + SPARE_LINES;
    const before = isSpent ? [...paths] : [];
    const own =
      isSpent || this.own === undefined ? { path: join(root, `${OUTBOX_PREFIX}${randomId()}`), lines: 0 } : this.own;
    const texts = isSpent ? kept : fresh;
    const isNew = own !== this.own;
    // Nothing is appended to an incomplete line.
    this.own = undefined;
    paths.add(own.path);
    await orFault(`keeping what is not published yet in ${root}`, async () => {
      await appendFile(own.path, [...texts].map(lineOf).join(''), { mode: 0o600, flush: true });
      if (isNew) await syncDirectory(root);
    });
    own.lines += texts.size;
    this.own = own;
    await this.remove(before);
  }

  private removeSpent(): void {
    const spent = (): Promise<void> => (this.kept.size === 0 ? this.remove([...this.paths]) : Promise.resolve());
    void this.inTurn(spent);
  }

  /** A file that stays is published once more, which does no harm. */
  private async remove(paths: readonly string[]): Promise<void> {
    for (const path of paths) {
      if (path === this.own?.path) this.own = undefined;
      this.paths.delete(path);
      await rm(path, { force: true }).catch(() => undefined);
    }
  }

  private inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.working.then(work);
    this.working = done.catch(() => undefined);
    return done;
  }
}

async function filesIn(
  root: string,
): Promise<readonly { readonly path: string; readonly texts: readonly (readonly [string, string])[] }[]> {
  const names = await readdir(root).catch(() => []);
  const paths = names
    .filter((name) => OUTBOX_PREFIXES.some((prefix) => name.startsWith(prefix)))
    .map((name) => join(root, name));
  const read = await Promise.all(paths.map(async (path) => ({ path, texts: await textsIn(path) })));
  return read.flatMap(({ path, texts }) => (texts === undefined ? [] : [{ path, texts }]));
}

const lineOf = (line: readonly [string, string]): string => `${JSON.stringify(line)}\n`;

/** Undefined for a file that cannot be read. The last line may be incomplete: it was never acknowledged. */
async function textsIn(path: string): Promise<readonly (readonly [string, string])[] | undefined> {
  try {
    return (await readFile(path, 'utf8')).split('\n').flatMap(textIn);
  } catch {
    return undefined;
  }
}

function textIn(line: string): readonly (readonly [string, string])[] {
  try {
    const [id, text]: readonly unknown[] = JSON.parse(line);
    return typeof id === 'string' && typeof text === 'string' ? [[id, text]] : [];
  } catch {
    return [];
  }
}
