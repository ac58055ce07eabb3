/** What kind of value was given, as errors name it: `undefined`, `an empty string`, `a number`, `a list`, `an object`. */
export function kindText(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (value === '') return 'an empty string';
  if (typeof value === 'string') return 'a string';
  if (typeof value === 'object') return Array.isArray(value) ? 'a list' : 'an object';
  return `a ${typeof value}`;
}
