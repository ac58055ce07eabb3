import cliProgress from 'cli-progress';

/** Shows the progress of a run. */
export interface Progress {
  show(label: string, step: number, steps: number): void;
  end(): void;
}

/** A bar on a terminal. Elsewhere nothing, since every run prints a line at its end. */
export function createProgress(output: NodeJS.WriteStream): Progress {
  return output.isTTY ? new Bar(output) : { show: () => undefined, end: () => undefined };
}

class Bar implements Progress {
  private readonly bar: cliProgress.SingleBar;
  private isShown = false;

  constructor(stream: NodeJS.WriteStream) {
    const format = '{label} {bar} step {value} of {total}  {duration_formatted}';
    this.bar = new cliProgress.SingleBar(
      { format, stream, hideCursor: true, clearOnComplete: true, stopOnComplete: false },
      cliProgress.Presets.shades_classic,
    );
  }

  show(label: string, step: number, steps: number): void {
    if (!this.isShown) this.bar.start(steps, 0, { label: label.padEnd(13) });
    this.isShown = true;
    this.bar.update(step);
  }

  end(): void {
    if (this.isShown) this.bar.stop();
    this.isShown = false;
  }
}
