import { describe, expect, it } from '@jest/globals';
import { PassThrough } from 'node:stream';
import { terminalOf } from '../../../lib/cli/terminal.js';

interface Place {
  readonly stdin?: boolean;
  readonly stdout?: boolean;
  readonly stderr?: boolean;
  readonly columns?: number;
  readonly env?: Readonly<Record<string, string>>;
}

const stream = (isTTY: boolean, columns?: number) => Object.assign(new PassThrough(), { isTTY, columns });

/** A terminal over streams, each of which may be interactive. */
const setUp = ({ stdin = false, stdout = false, stderr = false, columns, env = {} }: Place) => {
  const streams = { stdin: stream(stdin), stdout: stream(stdout, columns), stderr: stream(stderr), env };
  const written = (name: 'stdout' | 'stderr'): string => String(streams[name].read() ?? '');
  return { terminal: terminalOf(streams), streams, written };
};

describe('results', () => {
  it('go to standard output, and everything else to standard error', () => {
    const { terminal, written } = setUp({});
    terminal.out('result');
    terminal.note('by the way');
    expect([written('stdout'), written('stderr')]).toEqual(['result\n', 'by the way\n']);
  });

  it('are as wide as the terminal, and of a default width in a pipe', () => {
    expect(setUp({ stdout: true, columns: 77 }).terminal.columns).toBe(77);
    expect(setUp({ stdout: false, columns: 77 }).terminal.columns).toBe(120);
    expect(setUp({ stdout: true }).terminal.columns).toBe(120);
  });
});

describe('colours', () => {
  const painted = (place: Place): string => setUp(place).terminal.paint('red', 'text');

  it('are used on terminals', () => {
    expect(painted({ stdout: true })).toBe('\u001b[31mtext\u001b[39m');
    expect(painted({ stdout: true, env: { NO_COLOR: '' } })).toContain('\u001b');
  });

  it.each([
    ['in a pipe', { stderr: true }],
    ['where NO_COLOR says so', { stdout: true, env: { NO_COLOR: '1' } }],
    ['on a terminal that has none', { stdout: true, env: { TERM: 'dumb' } }],
  ])('are not used %s', (_where, place) => {
    expect(painted(place)).toBe('text');
  });
});

describe('the progress bar', () => {
  it('is drawn on standard error, apart from the results, and clears itself at the end', async () => {
    const { terminal, written } = setUp({ stderr: true });
    const progress = await terminal.progress(200, 'verifying');
    expect(written('stderr')).toMatch(/verifying -+ 0 % {2}0\/200/);
    progress.add(150);
    progress.add(50);
    progress.end();
    expect(written('stderr')).toMatch(/verifying =+ 100 % {2}200\/200/);
    terminal.out('done');
    expect(written('stdout')).toBe('done\n');
  });

  it('is drawn neither into a pipe nor for zero items', async () => {
    for (const [place, total] of [
      [{ stdout: true }, 5],
      [{ stderr: true }, 0],
    ] as const) {
      const { terminal, written } = setUp(place);
      const progress = await terminal.progress(total, 'verifying');
      progress.add(5);
      progress.end();
      expect(written('stderr')).toBe('');
    }
  });
});

describe('a question', () => {
  it.each([
    ['y', 'yes'],
    ['Yes', 'yes'],
    ['', 'no'],
    ['n', 'no'],
    ['yesterday', 'no'],
  ])('is answered by %p with %p', async (line, answer) => {
    const { terminal, streams, written } = setUp({ stdin: true, stderr: true });
    expect(terminal.canAsk).toBe(true);
    const asked = terminal.ask('Remove it?');
    streams.stdin.write(`${line}\n`);
    expect(await asked).toBe(answer);
    expect(written('stderr')).toContain('Remove it? [y/N] ');
    expect(written('stdout')).toBe('');
  });

  it.each([
    ['Ctrl-C', '\u0003'],
    ['Ctrl-D', '\u0004'],
  ])('is interrupted by %s, and the next line starts on a line of its own', async (_, pressed) => {
    const { terminal, streams, written } = setUp({ stdin: true, stderr: true });
    const asked = terminal.ask('Remove it?');
    streams.stdin.write(pressed);
    expect(await asked).toBe('interrupted');
    expect(written('stderr')).toMatch(/\n$/);
  });

  it('is interrupted where the input ends', async () => {
    const { terminal, streams } = setUp({ stdin: true, stderr: true });
    const asked = terminal.ask('Remove it?');
    streams.stdin.end();
    expect(await asked).toBe('interrupted');
  });

  it('can only be asked where it is seen and can be answered', () => {
    expect(setUp({ stdin: true }).terminal.canAsk).toBe(false);
    expect(setUp({ stderr: true }).terminal.canAsk).toBe(false);
    expect(setUp({ stdin: false, stderr: true, stdout: true }).terminal.canAsk).toBe(false);
  });
});
