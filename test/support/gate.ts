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

/** Far longer than anything takes, and less than a test may take. */
const PATIENCE_MS = 100_000;
/** What takes longer is done by others, who need the processor. */
const TURNS = 200;

/**
 * Lets other things happen until `isSo`. What never comes about is an error that names it: a loop without an end would go on
 * beside the tests that follow.
 */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  const endsAt = performance.now() + PATIENCE_MS;
  for (let turn = 0; !(await isSo()); turn++) {
    if (performance.now() > endsAt) throw new Error(`This has not come about: ${isSo.toString()}`);
    await new Promise((resolve) => (turn < TURNS ? setImmediate(resolve) : setTimeout(resolve, 2)));
  }
}
