import type { VNode } from 'preact';
import { useState } from 'preact/hooks';
import { post } from '../api.js';
import { useLive, useLoaded } from '../hooks.js';
import { type Explanation, type ShownValue, type TierExplanation, TIER_TITLES } from '../model.js';
import { useInvalidation } from '../parts/actions.js';
import { Tags } from '../parts/entry-table.js';
import { Locked } from '../parts/locked.js';
import { bytesText, countText, shown, spanText, timeText } from '../words.js';

const NEXT: Readonly<Record<Explanation['next'], string>> = {
  hit: 'is answered from the cache',
  join: 'waits for the computation that runs',
  stale: 'gets the stale value',
  compute: 'computes it',
  bypass: 'goes past the cache',
};

/** One entry: why it is served or not, where it is, and its value if values may be shown. */
export function Entry({ lane, entryKey }: { readonly lane: string; readonly entryKey: string }): VNode {
  const { access } = useLive();
  const isAllowed = access.role !== 'open';
  const { value, problem, isLoading, reload } = useLoaded(`${isAllowed} ${lane} ${entryKey}`, async () =>
    isAllowed ? post<Explanation>('explain', { key: entryKey, lane }) : undefined,
  );
  const [dialog, invalidate] = useInvalidation(reload);
  if (!isAllowed) return <Locked title="Entry" what="Keys" />;
  const held = value?.tiers.find(({ entry }) => entry !== undefined)?.entry;
  return (
    <>
      <div class="head">
        <div>
          <p>
            <a href="#/entries">Entries</a> · <a href={`#/lane/${encodeURIComponent(lane)}`}>{shown(lane, 60)}</a>
          </p>
          <h1 class="mono">{shown(entryKey, 400)}</h1>
        </div>
        <div class="form">
          <button type="button" class="act" onClick={reload} disabled={isLoading}>
            Refresh
          </button>
          <button type="button" class="act danger" onClick={() => invalidate({ key: entryKey, lane })}>
            Invalidate
          </button>
        </div>
      </div>
      {problem !== undefined && (
        <p class="notice bad" role="alert">
          {problem}
        </p>
      )}
      {value !== undefined && (
        <>
          <section class="card" aria-label="What happens next">
            <header>
              <h2>The next call {NEXT[value.next]}</h2>
            </header>
            <p class="muted">{shown(value.summary, 800)}</p>
          </section>
          {held !== undefined && (
            <section class="card" aria-label="Entry">
              <dl class="pairs">
                <dt>Stored</dt>
                <dd>{timeText(Date.now() - held.ageMs)}</dd>
                <dt>Ends</dt>
                <dd>{timeText(Date.now() + held.remainingMs)}</dd>
                <dt>Size</dt>
                <dd>{bytesText(held.sizeBytes)}</dd>
                <dt>Cost</dt>
                <dd>{spanText(held.computeMs)}</dd>
                <dt>Uses</dt>
                <dd>{countText(held.accessCount)}, since it came into memory</dd>
                <dt>Tags</dt>
                <dd>
                  {held.tags.length === 0 ? (
                    'none'
                  ) : (
                    <Tags tags={held.tags} onTag={(tag) => invalidate({ tags: [tag] })} />
                  )}
                </dd>
              </dl>
            </section>
          )}
          <TierStates tiers={value.tiers} />
        </>
      )}
      {access.role === 'peek' && value !== undefined && <Value lane={lane} entryKey={entryKey} />}
      {dialog}
    </>
  );
}

const STATES = { present: '', absent: 'muted', unusable: 'warning', off: 'muted' } as const;

const TierStates = ({ tiers }: { readonly tiers: readonly TierExplanation[] }): VNode => (
  <section class="card flush" aria-label="In the tiers">
    <header>
      <h2>In the tiers</h2>
    </header>
    <div class="scroll" tabIndex={0} role="group" aria-label="Tiers, as a table">
      <table>
        <thead>
          <tr>
            <th>Tier</th>
            <th>State</th>
            <th>Detail</th>
          </tr>
        </thead>
        <tbody>
          {tiers.map(({ tier, status, reason, detail }) => (
            <tr key={tier}>
              <td>{TIER_TITLES[tier]}</td>
              <td class={STATES[status]}>{status === 'unusable' ? `unusable: ${reason ?? ''}` : status}</td>
              <td>{shown(detail, 400)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  </section>
);

/** Only when it is asked for: a value may be nobody's business. */
function Value({ lane, entryKey }: { readonly lane: string; readonly entryKey: string }): VNode {
  const [isAsked, setAsked] = useState(false);
  const { value, problem } = useLoaded(`${lane} ${entryKey} ${isAsked}`, async () =>
    isAsked ? post<Partial<ShownValue>>('value', { key: entryKey, lane }) : undefined,
  );
  return (
    <section class="card" aria-label="Value">
      <header>
        <h2>Value</h2>
        {!isAsked && (
          <button type="button" class="act" onClick={() => setAsked(true)}>
            Show the value
          </button>
        )}
      </header>
      {problem !== undefined && (
        <p class="error" role="alert">
          {problem}
        </p>
      )}
      {value !== undefined &&
        (value.value === undefined ? (
          <p class="muted">There is no value that could be served.</p>
        ) : (
          <>
            <pre tabIndex={0} aria-label="Value">
              {value.value}
            </pre>
            {value.isCut === true && <p class="muted">The text was cut.</p>}
          </>
        ))}
      {!isAsked && <p class="muted">As JSON. Looking at it counts as no request.</p>}
    </section>
  );
}
