import type { VNode } from 'preact';
import { useState } from 'preact/hooks';
import { get } from '../api.js';
import { useLive, useLoaded } from '../hooks.js';
import { type LaneMetrics, type TopEntries, TIER_TITLES, TIERS } from '../model.js';
import { Clear } from '../parts/actions.js';
import { CountBars } from '../parts/bars.js';
import { EntryTable } from '../parts/entry-table.js';
import { Findings } from '../parts/findings.js';
import { Trends } from '../parts/trends.js';
import { bytesText, countText, many, offText, percentText, shown, spanText } from '../words.js';
import { Fact, HitRate } from './overview.js';

/** One lane: how it does, why requests went past it, its policy, and the entries that stand out. */
export function Lane({ name }: { readonly name: string }): VNode {
  const { lanes, findings, access, trend } = useLive();
  const metrics = lanes.find(({ lane }) => lane === name);
  if (metrics === undefined) {
    return (
      <div class="card empty">
        <h1>There is no lane {shown(name, 60)}.</h1>
        <a href="#/">Go to the overview</a>
      </div>
    );
  }
  const { policy } = metrics;
  const own = findings.filter(({ lane }) => lane === name);
  return (
    <>
      <div class="head">
        <div>
          <h1>{shown(name, 80)}</h1>
          {policy.description !== '' && <p>{shown(policy.description, 600)}</p>}
        </div>
        {access.role !== 'open' && <Clear lane={name} />}
      </div>
      {own.length > 0 && <Findings findings={own} role={access.role} />}
      <div class="grid two">
        <section class="card lane" aria-label="Hit rate">
          <HitRate metrics={metrics} />
          <dl class="facts">
            <Fact name="Requests" value={countText(metrics.requests)} />
            <Fact name="Time saved" value={spanText(metrics.timeSavedMs)} />
            <Fact name="Speed-up" value={`${metrics.speedUp.toFixed(1)}×`} />
            <Fact name="Computed" value={countText(metrics.computed)} />
            <Fact name="Failed" value={countText(metrics.failed)} />
            <Fact name="Average" value={metrics.computed === 0 ? '–' : spanText(metrics.avgComputeMs)} />
            <Fact name="Joined" value={countText(metrics.joined)} />
            <Fact name="Served stale" value={countText(metrics.staleServed)} />
            <Fact name="Given up" value={countText(metrics.abandoned)} />
          </dl>
        </section>
        <Policy metrics={metrics} />
      </div>
      <TierTable metrics={metrics} />
      <div class="grid three">
        <Reasons title="Went past the cache" counts={metrics.bypassed} colour="var(--past)" />
        <Reasons title="Not stored" counts={metrics.refused} colour="var(--miss)" />
        <Reasons title="Invalidations" counts={metrics.invalidations} colour="var(--l2)" />
      </div>
      <Trends trend={trend} lanes={[name]} />
      {access.role !== 'open' && <Top lane={name} />}
    </>
  );
}

function Policy({ metrics: { policy } }: { readonly metrics: LaneMetrics }): VNode {
  const { useCases, ttlMs, graceMs, maxEntryBytes, compression, isolation, eviction, include, exclude } = policy;
  return (
    <section class="card" aria-label="Policy">
      <header>
        <h2>Policy</h2>
      </header>
      <dl class="pairs">
        {useCases.length > 0 && (
          <>
            <dt>For</dt>
            <dd>{shown(useCases.join(', '), 400)}</dd>
          </>
        )}
        <dt>Time to live</dt>
        <dd>
          {spanText(ttlMs)}
          {graceMs > 0 && `, and ${spanText(graceMs)} of grace`}
        </dd>
        <dt>Largest entry</dt>
        <dd>{bytesText(maxEntryBytes)}</dd>
        <dt>Eviction</dt>
        <dd>{EVICTION[eviction] ?? eviction}</dd>
        <dt>Isolation</dt>
        <dd>{isolation}</dd>
        <dt>Compression</dt>
        <dd>{compression.enabled ? `${compression.codec}, from ${bytesText(compression.minBytes)}` : 'off'}</dd>
        {include.length > 0 && (
          <>
            <dt>Only keys</dt>
            <dd class="mono">{shown(include.join('  '), 400)}</dd>
          </>
        )}
        {exclude.length > 0 && (
          <>
            <dt>Not keys</dt>
            <dd class="mono">{shown(exclude.join('  '), 400)}</dd>
          </>
        )}
      </dl>
    </section>
  );
}

const EVICTION: Readonly<Record<string, string>> = {
  lru: 'what was used least recently',
  adaptive: 'what saves the least time (adaptive)',
  strategy: 'by the strategy of the app',
};

function TierTable({ metrics }: { readonly metrics: LaneMetrics }): VNode {
  const used = TIERS.filter((tier) => metrics[tier].reason !== 'policy');
  const limit = (tier: (typeof TIERS)[number]): string =>
    tier === 'l4'
      ? ''
      : ` of ${countText(metrics.policy[tier].maxEntries)} / ${bytesText(metrics.policy[tier].maxBytes)}`;
  return (
    <section class="card flush" aria-label="Tiers">
      <header>
        <h2>Tiers</h2>
      </header>
      <div class="scroll" tabIndex={0} role="group" aria-label="Tiers, as a table">
        <table>
          <thead>
            <tr>
              <th>Tier</th>
              <th>State</th>
              <th class="right">Held</th>
              <th class="right">Hits</th>
              <th class="right">Misses</th>
              <th class="right">Hit rate</th>
              <th class="right">Evicted</th>
              <th class="right">Expired</th>
              <th class="right">Errors</th>
            </tr>
          </thead>
          <tbody>
            {used.map((tier) => {
              const { state, reason, entries, sizeBytes, hits, misses, hitRate, evictions, expirations, errors } =
                metrics[tier];
              return (
                <tr key={tier}>
                  <td>
                    {TIER_TITLES[tier]} <span class="muted">{tier.toUpperCase()}</span>
                  </td>
                  <td class={state === 'on' ? '' : 'warning'}>{state === 'on' ? 'on' : `off: ${offText(reason)}`}</td>
                  <td class="right">
                    {tier === 'l4' ? '–' : `${countText(entries)} / ${bytesText(sizeBytes)}`}
                    <span class="muted">{limit(tier)}</span>
                  </td>
                  <td class="right">{countText(hits)}</td>
                  <td class="right">{countText(misses)}</td>
                  <td class="right">{hits + misses === 0 ? '–' : percentText(hitRate)}</td>
                  <td class="right">{countText(evictions)}</td>
                  <td class="right">{countText(expirations)}</td>
                  <td class={errors > 0 ? 'right error' : 'right'}>{countText(errors)}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Reasons({
  title,
  counts,
  colour,
}: {
  readonly title: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly colour: string;
}): VNode {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return (
    <section class="card" aria-label={title}>
      <header>
        <h2>{title}</h2>
        <span class="muted num">{countText(total)}</span>
      </header>
      {total === 0 ? <p class="muted">None.</p> : <CountBars counts={counts} colour={colour} format={countText} />}
    </section>
  );
}

const ORDERS = [
  ['saved', 'Time saved'],
  ['size', 'Size'],
  ['uses', 'Uses'],
] as const;

function Top({ lane }: { readonly lane: string }): VNode {
  const [by, setBy] = useState<(typeof ORDERS)[number][0]>('saved');
  const { value, problem, isLoading, reload } = useLoaded(`${lane} ${by}`, () => get<TopEntries>('top', { lane, by }));
  return (
    <section class="card flush" aria-label="Top entries">
      <header>
        <h2>Top entries</h2>
        <div class="form">
          <div class="themes" role="group" aria-label="Order">
            {ORDERS.map(([order, title]) => (
              <button key={order} type="button" aria-pressed={by === order} onClick={() => setBy(order)}>
                {title}
              </button>
            ))}
          </div>
          <button type="button" class="act" onClick={reload} disabled={isLoading}>
            Refresh
          </button>
        </div>
      </header>
      {problem !== undefined ? (
        <p class="empty error" role="alert">
          {problem}
        </p>
      ) : (
        <EntryTable entries={value?.items ?? []} isLoading={isLoading} extra="saved" />
      )}
      {value !== undefined && !value.isComplete && (
        <p class="more">Of the {many(value.scanned, 'entry').replace('entrys', 'entries')} that were used last.</p>
      )}
    </section>
  );
}
