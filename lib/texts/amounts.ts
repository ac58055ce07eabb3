// How amounts are written for people: by the command line, the doctor and the dashboard.

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB'] as const;

/** 1536 -> '1.5 KB' */
export function bytesText(bytes: number): string {
  const step = bytes < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  const amount = bytes / 1024 ** step;
  return `${step === 0 || amount >= 100 ? Math.round(amount) : amount.toFixed(1)} ${UNITS[step] ?? 'B'}`;
}

const SPANS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
] as const;

/** 90000 -> '1.5 min'; below a second with two significant digits. */
export function spanText(ms: number): string {
  for (const [unit, length] of SPANS) {
    if (ms < length) continue;
    const amount = ms / length;
    return `${amount >= 100 ? Math.round(amount) : Number(amount.toFixed(1))} ${unit}`;
  }
  if (ms >= 1) return `${Number(ms.toFixed(1))} ms`;
  return ms === 0 ? '0 ms' : `${Number((ms * 1_000).toPrecision(2))} us`;
}

export function countText(count: number): string {
  return count.toLocaleString('en-US');
}

export function percentText(percent: number): string {
  return `${percent.toFixed(1)} %`;
}

/** '1 version', '3 versions' */
export function many(count: number, one: string, more = `${one}s`): string {
  return `${countText(count)} ${count === 1 ? one : more}`;
}
