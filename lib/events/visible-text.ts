/** Controls of terminals and editors, old and new, among them those that turn the direction of writing. */
// oxlint-disable-next-line no-control-regex -- control characters in a key must not steer the reader's terminal
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g;
const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** `text` with its control characters as one would write them in a program, so that it stays on its line. */
export function visibleText(text: string): string {
  return text.replaceAll(
    CONTROLS,
    (found) => SHORT[found] ?? `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
