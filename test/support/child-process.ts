import { transform, version } from '@swc/core';
import { createHash, randomUUID } from 'node:crypto';
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { chmod, cp, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Interface } from 'node:readline';
import { promisify } from 'node:util';

/** A process that a test talks to by lines, and may kill. */
export class Child {
  private readonly lines: Interface;
  private readonly heard: string[] = [];
  private readonly ended: Promise<readonly [number | null, NodeJS.Signals | null]>;
  /** It has ended, and all that it wrote was read. */
  private isClosed = false;
  /** Those who wait for something to happen. */
  private waiting: (() => void)[] = [];
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
    // It could not be started, which also closes it, or has ended when something was said to it.
    process.on('error', (error) => (this.errors += String(error)));
    process.stdin?.on('error', (error) => (this.errors += String(error)));
    this.ended = new Promise((resolve) => {
      process.once('close', (code, signal) => {
        this.isClosed = true;
        resolve([code, signal]);
        this.wake();
      });
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
      if (this.isClosed) {
        throw new Error(`The child ended: ${this.process.exitCode ?? this.process.signalCode}\n${this.errors}`);
      }
      await this.something();
    }
  }

  /** Resolves when it has written the text. Throws when it ends without. */
  async written(text: string): Promise<void> {
    while (!this.output.includes(text)) {
      if (this.isClosed) throw new Error(`The child ended without '${text}':\n${this.output}`);
      await this.something();
    }
  }

  private something(): Promise<void> {
    return new Promise((woken) => this.waiting.push(woken));
  }

  private wake(): void {
    for (const woken of this.waiting.splice(0)) woken();
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

/** By the path of a source: how it is changed before it is compiled. */
type Edits = ReadonlyMap<string, (source: string) => string>;

/** The library as plain JavaScript, for child processes, and what was started from it. */
export class Workshop {
  private readonly children: Child[] = [];
  private readonly homes = new Map<string, Promise<string>>();
  private runs = 0;

  private constructor(
    private readonly directory: string,
    /** Of the library's sources, those that were compiled. */
    private readonly files: readonly string[],
    /** The name of all that was compiled. Undefined where sources are edited: few programs run from those. */
    private readonly content: string | undefined,
  ) {}

  /** Of `lib`, or of more folders. Some sources may read as their edits make them. */
  static build(folders: readonly string[] = ['lib'], edits: Edits = new Map()): Promise<Workshop> {
    const files = folders.flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.ts'))
        .map((file) => join(folder, file)),
    );
    return Workshop.of(files, edits);
  }

  /** Another one, in which some sources read as their edits make them. */
  variant(edits: Edits): Promise<Workshop> {
    return Workshop.of(this.files, edits);
  }

  private static async of(files: readonly string[], edits: Edits): Promise<Workshop> {
    const directory = await mkdtemp(join(tmpdir(), 'lane-cache-workshop-'));
    // a child may run as another user
    await chmod(directory, 0o755);
    await symlink(resolve('node_modules'), join(directory, 'node_modules'));
    await writeFile(join(directory, 'package.json'), '{ "type": "module" }');
    for (const folder of new Set(files.map((file) => dirname(file)))) {
      mkdirSync(join(directory, folder), { recursive: true });
    }
    const content = createHash('sha256');
    for (const file of files) {
      const kept = compiledAlready(file, edits.get(file)) ?? (await compile(file, edits.get(file)));
      content.update(kept);
      place(kept, join(directory, file.replace(/ts$/, 'js')));
    }
    return new Workshop(directory, files, edits.size === 0 ? content.digest('hex') : undefined);
  }

  /** Runs `source`, an ES module that finds the library in `./lib`; `wrapper` is put before `node`. */
  async run(source: string, args: readonly string[] = [], wrapper: readonly string[] = []): Promise<Child> {
    const file = join(await this.homeOf(source), `${this.runs++}.mjs`);
    await writeFile(file, source);
    const [command, ...rest] = [...wrapper, process.execPath, file, ...args];
    const child = new Child(
      spawn(command ?? process.execPath, rest, { stdio: 'pipe', env: { PATH: process.env['PATH'] } }),
    );
    this.children.push(child);
    return child;
  }

  /** Where the program finds the library: bundled if it takes one entry of it, which loads in two thirds of the time. */
  private homeOf(source: string): string | Promise<string> {
    const [entry, ...more] = new Set(source.match(/(?<=')\.\/(lib|test)\/[^']+\.js(?=')/g));
    if (this.content === undefined || entry === undefined || more.length > 0) return this.directory;
    const home = this.homes.get(entry) ?? this.bundled(this.content, entry);
    this.homes.set(entry, home);
    return home;
  }

  private async bundled(content: string, entry: string): Promise<string> {
    const name = entry.replaceAll('/', '-');
    const kept = join(COMPILED, `${content}-${name}`);
    if (!existsSync(kept)) await bundle(this.directory, entry, kept);
    const home = join(this.directory, `bundled-${name}`);
    await cp(kept, home, { recursive: true });
    return home;
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

/** All suites share what was compiled once, by the content of the source. */
const COMPILED = resolve('node_modules', '.cache', 'lane-cache-tests');

const asItIs = (source: string): string => source;

const keptAs = (file: string, source: string): string =>
  join(COMPILED, createHash('sha256').update(version).update(file).update('\0').update(source).digest('hex'));

const compiledAlready = (file: string, edit = asItIs): string | undefined => {
  const kept = keptAs(file, edit(readFileSync(file, 'utf8')));
  return existsSync(kept) ? kept : undefined;
};

/** Where the compiled source is. */
const compile = async (file: string, edit = asItIs): Promise<string> => {
  const source = edit(readFileSync(file, 'utf8'));
  const kept = keptAs(file, source);
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
  mkdirSync(COMPILED, { recursive: true });
  // Renamed into place, because other suites read it.
  const unfinished = `${kept}.${randomUUID()}`;
  writeFileSync(unfinished, code);
  renameSync(unfinished, kept);
  return kept;
};

/** Puts the entry and what it takes of the library into `kept`, which is there as a whole or not at all. */
const bundle = async (root: string, entry: string, kept: string): Promise<void> => {
  const unfinished = `${kept}.${randomUUID()}`;
  const program = resolve('test/support/bundle.js');
  await promisify(execFile)(process.execPath, [program, join(root, entry), join(unfinished, dirname(entry))]);
  try {
    renameSync(unfinished, kept);
  } catch {
    // another suite has been quicker
    await rm(unfinished, { recursive: true, force: true });
  }
};

/** As a link, which is quicker than a copy. Nothing writes to it. */
const place = (kept: string, to: string): void => {
  try {
    linkSync(kept, to);
  } catch {
    // on another volume
    copyFileSync(kept, to);
  }
};
