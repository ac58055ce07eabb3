import cliProgress from 'cli-progress';

/** Shows the progress of a run. */
export interface Progress {
  show(run: string, lane: string, done: number, total: number): void;
  end(): void;
}

/** A bar on a terminal, one line per finished lane elsewhere. */
export function createProgress(output: NodeJS.WriteStream): Progress {
  return output.isTTY ? new Bar(output) : new Lines(output);
}

class Bar implements Progress {
  private bar: cliProgress.SingleBar | undefined;
  private label = '';

  constructor(private readonly output: NodeJS.WriteStream) {}

  show(run: string, lane: string, done: number, total: number): void {
    const label = `${run.padEnd(24)} ${lane.padEnd(9)}`;
    if (label !== this.label) this.begin(label, total);
    this.bar?.update(done);
    if (done === total) this.end();
  }

  end(): void {
    this.bar?.stop();
    this.bar = undefined;
    this.label = '';
  }

  private begin(label: string, total: number): void {
    this.end();
    this.label = label;
    const format = `${label} {bar} {value}/{total} requests  {duration_formatted}`;
    this.bar = new cliProgress.SingleBar(
      { format, stream: this.output, hideCursor: true },
      cliProgress.Presets.shades_classic,
    );
    this.bar.start(total, 0);
  }
}

class Lines implements Progress {
  constructor(private readonly output: NodeJS.WriteStream) {}

  show(run: string, lane: string, done: number, total: number): void {
    if (done === total) this.output.write(`${run}: ${lane}, ${total} requests served\n`);
  }

  end(): void {}
}
