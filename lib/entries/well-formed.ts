/// <reference lib="es2024.string" />

/** Whether `text` has no lone surrogates, and so survives UTF-8. */
export const isWellFormed = (text: string): boolean => text.isWellFormed();
