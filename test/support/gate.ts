/** Holds back all that wait for it until it is opened. */
export class Gate {
  readonly whenOpen: Promise<void>;
  private resolve: (() => void) | undefined;

  constructor() {
    this.whenOpen = new Promise((resolve) => (this.resolve = resolve));
  }

  open(): void {
    this.resolve?.();
  }
}

/** Lets other things happen until `isSo`. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}
