/** Resolves in a later turn of the event loop, after waiting input has been served. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
