import type { VNode } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';

/** One line or area of a plot. */
export interface PlotSeries {
  readonly label: string;
  /** The name of the colour, as in the style sheet: `l1`, `miss`. */
  readonly colour: string;
  readonly values: readonly number[];
}

interface PlotProps {
  readonly title: string;
  /** Epoch ms. */
  readonly times: readonly number[];
  readonly series: readonly PlotSeries[];
  /** Whether areas lie on each other, so that the top is their sum. */
  readonly isStacked?: boolean;
  readonly format: (value: number) => string;
  /** The least difference that `format` shows. Marks of the axis are no closer. */
  readonly step: number;
  readonly height?: number;
  /** Says what the plot shows at this moment, for those who do not see it. */
  readonly summary: string;
}

/** A plot over the last hour. It is drawn on a canvas; its summary is read instead. */
export function Plot({
  title,
  times,
  series,
  isStacked = false,
  format,
  step,
  height = 220,
  summary,
}: PlotProps): VNode {
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const data = dataOf(times, series, isStacked);
  const latest = useRef(data);
  latest.current = data;
  const kinds = series.map(({ label, colour }) => `${label} ${colour}`).join();
  useEffect(() => {
    const element = holder.current;
    if (element === null) return undefined;
    const draw = (): void => {
      plot.current?.destroy();
      plot.current = new uPlot(
        optionsOf(series, element, { height, isStacked, format, step }),
        latest.current,
        element,
      );
    };
    draw();
    const resized = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }));
    resized.observe(element);
    // Colours are read when a plot is made.
    const dark = matchMedia('(prefers-color-scheme: dark)');
    addEventListener('themechange', draw);
    dark.addEventListener('change', draw);
    return () => {
      resized.disconnect();
      removeEventListener('themechange', draw);
      dark.removeEventListener('change', draw);
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [kinds, height]);
  useEffect(() => plot.current?.setData(data), [times, series]);
  return (
    <figure class="plot">
      <figcaption>
        <h2>{title}</h2>
        <ul class="legend">
          {series.length > 1 &&
            series.map(({ label, colour }) => (
              <li key={label}>
                <span class={`swatch s-${colour}`} />
                {label}
              </li>
            ))}
        </ul>
      </figcaption>
      <div class="canvas" ref={holder} role="img" aria-label={`${title}, the last hour. ${summary}`} />
    </figure>
  );
}

function dataOf(times: readonly number[], series: readonly PlotSeries[], isStacked: boolean): uPlot.AlignedData {
  const seconds = times.map((time) => time / 1_000);
  if (!isStacked) return [seconds, ...series.map(({ values }) => [...values])];
  const below = times.map(() => 0);
  const stacked = series.map(({ values }) =>
    values.map((value, index) => {
      const top = (below[index] ?? 0) + value;
      below[index] = top;
      return top;
    }),
  );
  // What is on top is drawn first, so that what lies below covers it.
  return [seconds, ...stacked.toReversed()];
}

function optionsOf(
  series: readonly PlotSeries[],
  element: HTMLElement,
  { height, isStacked, format, step }: Pick<Required<PlotProps>, 'height' | 'isStacked' | 'format' | 'step'>,
): uPlot.Options {
  // A canvas knows no variables, so an element resolves them for the scheme that is shown.
  const colourOf = (name: string): string => {
    element.style.color = `var(--${name})`;
    return getComputedStyle(element).color;
  };
  const drawn = isStacked ? series.toReversed() : series;
  const font = '12px system-ui, sans-serif';
  const grid = { stroke: colourOf('line'), width: 1 };
  return {
    width: element.clientWidth,
    height,
    cursor: { show: false },
    legend: { show: false },
    padding: [8, 32, 0, 0],
    scales: { y: { range: (_, __, max) => [0, max > 0 ? Math.max(step, max * 1.12) : 1] } },
    axes: [
      {
        stroke: colourOf('muted'),
        font,
        grid: { show: false },
        ticks: { show: false },
        values: (_, splits) => splits.map((at) => clockOf(splits).format(at * 1_000)),
        size: 30,
        space: 96,
      },
      {
        stroke: colourOf('muted'),
        font,
        grid,
        ticks: { show: false },
        size: 64,
        space: 44,
        incrs: incrementsFrom(step),
        values: (_, splits) => splits.map((value) => format(value)),
      },
    ],
    series: [
      {},
      ...drawn.map(({ label, colour }) => ({
        label,
        stroke: colourOf(colour),
        width: 1.5,
        fill: isStacked ? colourOf(colour) : `${colourOf(colour)}22`,
        points: { show: false },
      })),
    ],
  };
}

/** 1, 2, 5, 10, … times the least one. */
const incrementsFrom = (step: number): number[] =>
  Array.from({ length: 30 }, (_, at) => step * 10 ** Math.floor(at / 3) * ([1, 2, 5][at % 3] ?? 1));

const MINUTES = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const SECONDS = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** With seconds while marks are less than a minute apart. */
const clockOf = ([first = 0, second = 60]: readonly number[]): Intl.DateTimeFormat =>
  second - first < 60 ? SECONDS : MINUTES;
