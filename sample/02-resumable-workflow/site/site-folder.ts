import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { WrittenFile } from './step-result.js';

export const sha256 = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex');

/** The folder into which a site is built. Writing a file again gives the same file. */
export class SiteFolder {
  constructor(private readonly root: string) {}

  async write(path: string, content: string): Promise<WrittenFile> {
    const file = join(this.root, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(`${file}.new`, content);
    await rename(`${file}.new`, file);
    return { path, bytes: Buffer.byteLength(content), sha256: sha256(content) };
  }

  /** Every file by its name and content, as it is on disk. */
  async digest(): Promise<string> {
    const entries = await readdir(this.root, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile() && !entry.name.endsWith('.new'));
    const paths = files.map(({ parentPath, name }) => join(parentPath, name)).toSorted();
    const lines: string[] = [];
    for (const path of paths) lines.push(`${path.slice(this.root.length)} ${sha256(await readFile(path))}`);
    return sha256(lines.join('\n'));
  }
}
