import type { VNode } from 'preact';

// Bars are drawn as SVG: a strict Content-Security-Policy allows no styles in attributes.

interface FillProps {
  /** 0 to 1 */
  readonly share: number;
  readonly colour: string;
}

/** How full something is. Its number stands beside it, so it is hidden from screen readers. */
export function Fill({ share, colour }: FillProps): VNode {
  const width = Math.min(100, Math.max(share > 0 ? 1.5 : 0, share * 100));
  return (
    <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
      <rect width={width} height="8" fill={colour} />
    </svg>
  );
}

/** A hit rate on a line from 0 to 100 %, with the range that is aimed at. */
export function TargetBar({
  rate,
  target,
}: {
  readonly rate: number;
  readonly target: readonly [number, number] | null;
}): VNode {
  const isLow = target !== null && rate < target[0];
  return (
    <div class="target" aria-hidden="true">
      <svg viewBox="0 0 100 8" preserveAspectRatio="none">
        <rect width={rate} height="8" rx="1" fill={isLow ? 'var(--miss)' : 'var(--accent)'} />
        {target !== null && (
          <>
            <rect x={target[0]} y="-3" width="0.6" height="14" fill="var(--text)" />
            <rect x={target[1]} y="-3" width="0.6" height="14" fill="var(--text)" />
          </>
        )}
      </svg>
    </div>
  );
}

/** Counts by reason, the most frequent first. */
export function CountBars({
  counts,
  colour,
  format,
}: {
  readonly counts: Readonly<Record<string, number>>;
  readonly colour: string;
  readonly format: (count: number) => string;
}): VNode {
  const present = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .toSorted(([, a], [, b]) => b - a);
  const most = present[0]?.[1] ?? 1;
  return (
    <div class="bars">
      {present.map(([name, count]) => (
        <>
          <span>{name}</span>
          <Fill share={count / most} colour={colour} />
          <span class="num">{format(count)}</span>
        </>
      ))}
    </div>
  );
}
