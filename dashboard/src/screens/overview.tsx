import type { VNode } from 'preact';
import { useLive } from '../hooks.js';
import type { LaneMetrics } from '../model.js';
import { TargetBar } from '../parts/bars.js';
import { Findings } from '../parts/findings.js';
import { Tiers } from '../parts/tiers.js';
import { Trends } from '../parts/trends.js';
import { many, percentText, rateText, shown, spanText, timeText } from '../words.js';

/** What is wrong first, then a card for each lane, then the last hour of all of them. */
export function Overview(): VNode {
  const live = useLive();
  const { lanes, findings, access, trend, rates } = live;
  const total = lanes.reduce((sum, { requests }) => sum + requests, 0);
  const saved = lanes.reduce((sum, { timeSavedMs }) => sum + timeSavedMs, 0);
  const since = lanes[0]?.since;
  const busyFirst = lanes.toSorted((a, b) => b.requests - a.requests);
  return (
    <>
      <div class="head">
        <div>
          <h1>Overview</h1>
          <p>
            {many(total, 'request')} in {many(lanes.length, 'lane')}
            {since !== undefined && ` since ${timeText(since)}`}
            {saved > 0 && `. Together they saved ${spanText(saved)}.`}
          </p>
        </div>
      </div>
      <Findings findings={findings} role={access.role} />
      <section class="grid" aria-label="Lanes">
        {busyFirst.map((metrics) => (
          <LaneCard key={metrics.lane} metrics={metrics} perSecond={rates[metrics.lane]?.requests ?? 0} />
        ))}
      </section>
      <Trends trend={trend} lanes={lanes.map(({ lane }) => lane)} />
    </>
  );
}

function LaneCard({ metrics, perSecond }: { readonly metrics: LaneMetrics; readonly perSecond: number }): VNode {
  const { lane, policy, timeSavedMs, speedUp } = metrics;
  return (
    <article class="card lane" aria-label={`Lane ${lane}`}>
      <div class="title">
        <a href={`#/lane/${encodeURIComponent(lane)}`}>{shown(lane, 60)}</a>
        <span class="muted num">{rateText(perSecond)}/s</span>
      </div>
      {policy.description !== '' && <p class="about">{shown(policy.description, 300)}</p>}
      <HitRate metrics={metrics} />
      <dl class="facts">
        <Fact name="Time saved" value={spanText(timeSavedMs)} />
        <Fact name="Speed-up" value={`${speedUp.toFixed(1)}×`} />
        <Fact name="Computing" value={metrics.computed === 0 ? '–' : spanText(metrics.avgComputeMs)} />
      </dl>
      <Tiers metrics={metrics} />
    </article>
  );
}

export function HitRate({ metrics }: { readonly metrics: LaneMetrics }): VNode {
  const { requests, hitRate, policy } = metrics;
  const target = policy.targets.hitRate;
  const isLow = requests > 0 && target !== null && hitRate < target[0];
  return (
    <>
      <div class="rate">
        <strong class={isLow ? 'low' : ''}>{requests === 0 ? '–' : percentText(hitRate)}</strong>
        <span class="muted">
          {requests === 0 ? 'no requests yet' : 'hit rate'}
          {target !== null && `, target ${target[0]}–${target[1]} %`}
        </span>
      </div>
      <TargetBar rate={requests === 0 ? 0 : hitRate} target={target} />
    </>
  );
}

export function Fact({ name, value }: { readonly name: string; readonly value: string }): VNode {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
