const A_LONG_WHILE_MS = 2 ** 30;

/**
 * Keeps the process alive while a caller awaits what only timers, which don't, would bring about. Returns the function
 * that lets go.
 */
export const keepAlive = (): (() => void) => {
  const timer = setInterval(() => undefined, A_LONG_WHILE_MS);
  return () => clearInterval(timer);
};
