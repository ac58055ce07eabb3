/**
 * Something that others can feel as long as its holder lives, and that ends with the holder, however that ends.
 * A frozen holder still holds. Works between threads, processes and containers of one machine.
 */
export interface Liveness {
  /** Starts holding at `path`, where nobody may hold yet. Returns the function that lets go. */
  hold(path: string): Promise<() => Promise<void>>;
  /** Whether somebody holds at `path`. True when in doubt. */
  isHeld(path: string): Promise<boolean>;
}
