import { transform, version } from '@swc/core';
import { createHash, randomUUID } from 'node:crypto';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Interface } from 'node:readline';

/** A process that a test talks to by lines, and may kill. */
export class Child {
  private readonly lines: Interface;
  private readonly heard: string[] = [];
  private readonly ended: Promise<readonly [number | null, NodeJS.Signals | null]>;
  private wake = (): void => undefined;
  errors = '';
  /** All that it wrote, also what has no end of line yet, as a question. */
  output = '';

  constructor(private readonly process: ChildProcess) {
    if (process.stdout === null || process.stderr === null) throw new Error('The child has no output.');
    this.lines = createInterface({ input: process.stdout });
    this.lines.on('line', (line) => {
      this.heard.push(line);
      this.wake();
    });
    process.stdout.on('data', (text) => {
      this.output += String(text);
      this.wake();
    });
    process.stderr.on('data', (text) => (this.errors += String(text)));
    this.ended = once(process, 'close').then(([code, signal]) => {
      this.wake();
      return [code, signal];
    });
  }

  get pid(): number {
    return this.process.pid ?? 0;
  }

  get hasEnded(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null;
  }

  /** The next line. Throws when the child ends without one. */
  async line(): Promise<string> {
    for (;;) {
      const line = this.heard.shift();
      if (line !== undefined) return line;
      if (this.hasEnded && this.process.stdout?.readableEnded === true) {
        throw new Error(`The child ended: ${this.process.exitCode ?? this.process.signalCode}\n${this.errors}`);
      }
      await new Promise<void>((woken) => (this.wake = woken));
    }
  }

  /** Resolves when it has written the text. Throws when it ends without. */
  async written(text: string): Promise<void> {
    while (!this.output.includes(text)) {
      if (this.hasEnded) throw new Error(`The child ended without '${text}':\n${this.output}`);
      await new Promise<void>((woken) => (this.wake = woken));
    }
  }

  say(line: string): void {
    this.type(`${line}\n`);
  }

  type(keys: string): void {
    this.process.stdin?.write(keys);
  }

  signal(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }

  /** Every line that was not asked for, once the child has ended by itself or by `signal`. */
  async end(signal?: NodeJS.Signals): Promise<{ readonly status: number | string; readonly lines: readonly string[] }> {
    if (signal !== undefined) this.signal(signal);
    const [code, died] = await this.ended;
    return { status: died ?? code ?? 'unknown', lines: this.heard.splice(0) };
  }
}

/** The library as plain JavaScript, for child processes, and what was started from it. */
export class Workshop {
  private readonly children: Child[] = [];

  private constructor(private readonly directory: string) {}

  /** Of `lib`, or of more folders. */
  static async build(folders: readonly string[] = ['lib']): Promise<Workshop> {
    const directory = await mkdtemp(join(tmpdir(), 'lane-cache-workshop-'));
    // a child may run as another user
    await chmod(directory, 0o755);
    await symlink(resolve('node_modules'), join(directory, 'node_modules'));
    await writeFile(join(directory, 'package.json'), '{ "type": "module" }');
    for (const folder of folders) {
      const files = (await readdir(folder, { recursive: true })).filter((file) => file.endsWith('.ts'));
      await Promise.all(files.map((file) => compile(join(folder, file), directory)));
    }
    return new Workshop(directory);
  }

  /** Another one, in which some sources read as their edits make them. */
  async variant(edits: ReadonlyMap<string, (source: string) => string>): Promise<Workshop> {
    const directory = await mkdtemp(join(tmpdir(), 'lane-cache-workshop-'));
    await cp(this.directory, directory, { recursive: true, verbatimSymlinks: true });
    for (const [file, edit] of edits) await compile(file, directory, edit);
    return new Workshop(directory);
  }

  /** Runs `source`, an ES module that finds the library in `./lib`; `wrapper` is put before `node`. */
  async run(source: string, args: readonly string[] = [], wrapper: readonly string[] = []): Promise<Child> {
    const file = join(this.directory, `${this.children.length}.mjs`);
    await writeFile(file, source);
    const [command, ...rest] = [...wrapper, process.execPath, file, ...args];
    const child = new Child(
      spawn(command ?? process.execPath, rest, { stdio: 'pipe', env: { PATH: process.env['PATH'] } }),
    );
    this.children.push(child);
    return child;
  }

  async dispose(): Promise<void> {
    for (const child of this.children) if (!child.hasEnded) await child.end('SIGKILL');
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** An edit of a source: `text`, which must be there exactly once, becomes `instead`. It throws where it is not. */
export const edited =
  (text: string, instead: string) =>
  (source: string): string => {
    const [before, after, ...more] = source.split(text);
    if (before === undefined || after === undefined || more.length > 0) {
      throw new Error(
        `This must be in the source exactly once, and is there ${source.split(text).length - 1} times: ${text}`,
      );
    }
    return `${before}${instead}${after}`;
  };

const compile = async (file: string, directory: string, edit = (source: string) => source): Promise<void> => {
  const to = join(directory, file.replace(/ts$/, 'js'));
  await mkdir(dirname(to), { recursive: true });
  await writeFile(to, await compiled(file, edit(await readFile(file, 'utf8'))));
};

/** All suites share what was compiled once, by the content of the source. */
const COMPILED = resolve('node_modules', '.cache', 'lane-cache-tests');

const compiled = async (file: string, source: string): Promise<string> => {
  const kept = join(
    COMPILED,
    createHash('sha256').update(version).update(file).update('\0').update(source).digest('hex'),
  );
  const before = await readFile(kept, 'utf8').catch(() => undefined);
  if (before !== undefined) return before;
  const { code } = await transform(source, {
    filename: file,
    jsc: {
      parser: { syntax: 'typescript', decorators: true },
      transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
      target: 'es2022',
      keepClassNames: true,
    },
    module: { type: 'es6' },
  });
  await mkdir(COMPILED, { recursive: true });
  // Renamed into place, because other suites read it.
  const unfinished = `${kept}.${randomUUID()}`;
  await writeFile(unfinished, code);
  await rename(unfinished, kept);
  return code;
};
