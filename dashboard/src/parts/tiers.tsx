import type { VNode } from 'preact';
import { type LaneMetrics, type Tier, TIER_TITLES, TIERS } from '../model.js';
import { bytesText, countText, offText } from '../words.js';
import { Fill } from './bars.js';

/** The tiers that a lane uses: whether each is on, and how full. */
export function Tiers({ metrics }: { readonly metrics: LaneMetrics }): VNode {
  const used = TIERS.filter((tier) => metrics[tier].reason !== 'policy');
  return (
    <ul class="tiers" aria-label="Tiers">
      {used.map((tier) => (
        <TierLine key={tier} tier={tier} metrics={metrics} />
      ))}
    </ul>
  );
}

function TierLine({ tier, metrics }: { readonly tier: Tier; readonly metrics: LaneMetrics }): VNode {
  const { state, reason, entries, sizeBytes } = metrics[tier];
  const isOn = state === 'on';
  const share = fillOf(tier, metrics);
  const held = tier === 'l4' ? 'on' : `${countText(entries)} · ${bytesText(sizeBytes)}`;
  return (
    <li class={isOn ? 'tier' : 'tier off'}>
      <span class="name">
        <span class={`dot ${isOn ? 'on' : reason === 'no-directory' ? '' : 'bad'}`} />
        {TIER_TITLES[tier]}
      </span>
      <span class="fill">{isOn && tier !== 'l4' && <Fill share={share} colour={`var(--${tier})`} />}</span>
      <span class="how">
        {isOn ? held : offText(reason)}
        {isOn && tier !== 'l4' && <span class="unseen">, {Math.round(share * 100)} % full</span>}
      </span>
    </li>
  );
}

/** By entries or by bytes, whichever limit is nearer. */
export function fillOf(tier: Tier, { policy, ...metrics }: LaneMetrics): number {
  if (tier === 'l4') return 0;
  const { maxEntries, maxBytes } = policy[tier];
  const { entries, sizeBytes } = metrics[tier];
  return Math.min(1, Math.max(entries / Math.max(1, maxEntries), sizeBytes / Math.max(1, maxBytes)));
}
