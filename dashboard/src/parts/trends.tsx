import type { VNode } from 'preact';
import type { SeriesName, TrendReport } from '../model.js';
import { countText, rateText, spanText } from '../words.js';
import { Plot, type PlotSeries } from './plot.js';

const OUTCOMES: readonly (readonly [SeriesName, string, string])[] = [
  ['l1', 'Memory', 'l1'],
  ['l2', 'Session disk', 'l2'],
  ['l3', 'Persistent disk', 'l3'],
  ['l4', 'Redis', 'l4'],
  ['misses', 'Missed', 'miss'],
  ['bypassed', 'Past the cache', 'past'],
];

/** The last hour of some lanes together. */
export function Trends({ trend, lanes }: { readonly trend: TrendReport; readonly lanes: readonly string[] }): VNode {
  if (trend.times.length < 2) {
    return (
      <section class="card empty" aria-label="The last hour">
        <strong>The plots begin in a few seconds.</strong>
        The app keeps the numbers of its last hour, from its start on.
      </section>
    );
  }
  const perSecond = 1_000 / trend.everyMs;
  const of = (name: SeriesName, factor: number): readonly number[] =>
    trend.times.map((_, index) => {
      let total = 0;
      for (const lane of lanes) total += trend.lanes[lane]?.[name][index] ?? 0;
      return total * factor;
    });
  const outcomes: readonly PlotSeries[] = OUTCOMES.map(([name, label, colour]) => ({
    label,
    colour,
    values: of(name, perSecond),
  })).filter(({ values, colour }) => colour === 'l1' || colour === 'miss' || values.some((value) => value > 0));
  const computing = of('computeMs', perSecond);
  const evictions = of('evictions', 60 * perSecond);
  return (
    <section class="plots" aria-label="The last hour">
      <div class="card">
        <Plot
          title="Requests per second, by what answered"
          times={trend.times}
          series={outcomes}
          isStacked
          format={rateText}
          step={0.1}
          summary={outcomes.map(({ label, values }) => `${label} ${rateText(values.at(-1) ?? 0)} now`).join(', ')}
        />
      </div>
      <div class="card small">
        <Plot
          title="Time spent computing, per second"
          times={trend.times}
          series={[{ label: 'Computing', colour: 'accent', values: computing }]}
          format={(value) => spanText(Math.round(value))}
          step={1}
          height={180}
          summary={`${spanText(Math.round(computing.at(-1) ?? 0))} now`}
        />
      </div>
      <div class="card small">
        <Plot
          title="Evictions per minute"
          times={trend.times}
          series={[{ label: 'Evictions', colour: 'miss', values: evictions }]}
          format={(value) => countText(Math.round(value))}
          step={1}
          height={180}
          summary={`${countText(Math.round(evictions.at(-1) ?? 0))} now`}
        />
      </div>
    </section>
  );
}
