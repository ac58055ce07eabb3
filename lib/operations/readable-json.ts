/**
 * A value as JSON text for a person. What JSON has no word for: dates as ISO times, maps as pairs, sets as lists, bytes
 * as base64, large integers, expressions and numbers such as NaN as texts, errors by name and message, and a value
 * inside itself as '[circular]'.
 */
export function readableJson(value: unknown): string {
  return JSON.stringify(plain(value, new Set()), undefined, 2) ?? 'null';
}

function plain(value: unknown, above: ReadonlySet<object>): unknown {
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (above.has(value)) return '[circular]';
  return plainObject(value, new Set([...above, value]));
}

function plainObject(value: object, above: ReadonlySet<object>): unknown {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'invalid date' : value.toISOString();
  if (value instanceof RegExp || value instanceof URL) return String(value);
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (value instanceof ArrayBuffer) return Buffer.from(value).toString('base64');
  if (ArrayBuffer.isView(value))
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64');
  if (Array.isArray(value) || value instanceof Set || value instanceof Map) {
    return Array.from<unknown>(value).map((item) => plain(item, above));
  }
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field, above)]));
}
