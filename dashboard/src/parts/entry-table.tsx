import type { VNode } from 'preact';
import type { EntryInfo } from '../model.js';
import { bytesText, countText, shown, spanText } from '../words.js';

interface EntryTableProps {
  readonly entries: readonly EntryInfo[];
  readonly isLoading: boolean;
  /** A column besides. */
  readonly extra?: 'saved' | 'lane';
  readonly onTag?: (tag: string) => void;
}

const MOST_TAGS = 4;

export function EntryTable({ entries, isLoading, extra, onTag }: EntryTableProps): VNode {
  if (entries.length === 0) {
    return (
      <p class="empty">
        {isLoading ? (
          'Looking…'
        ) : (
          <>
            <strong>No entries.</strong>Nothing is stored that fits.
          </>
        )}
      </p>
    );
  }
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label="Entries, as a table">
      <table>
        <thead>
          <tr>
            <th>Key</th>
            {extra === 'lane' && <th>Lane</th>}
            <th>Tiers</th>
            <th>Tags</th>
            <th class="right">Life left</th>
            <th class="right">Size</th>
            <th class="right">Cost</th>
            <th class="right">Uses</th>
            {extra === 'saved' && <th class="right">Time saved</th>}
          </tr>
        </thead>
        <tbody>
          {entries.map((entry) => (
            <tr key={`${entry.lane} ${entry.key}`}>
              <td class="key mono">
                <a href={linkOf(entry)}>{shown(entry.key, 160)}</a>
              </td>
              {extra === 'lane' && <td>{shown(entry.lane, 40)}</td>}
              <td>
                <TierChips tiers={entry.tiers} />
              </td>
              <td>
                <Tags tags={entry.tags} {...(onTag !== undefined && { onTag })} />
              </td>
              <td class="right">{spanText(Math.round(entry.remainingMs / 1_000) * 1_000)}</td>
              <td class="right">{bytesText(entry.sizeBytes)}</td>
              <td class="right">{spanText(entry.computeMs)}</td>
              <td class="right">{countText(entry.accessCount)}</td>
              {extra === 'saved' && <td class="right">{spanText(entry.accessCount * entry.computeMs)}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export const linkOf = ({ lane, key }: Pick<EntryInfo, 'lane' | 'key'>): string =>
  `#/entry/${encodeURIComponent(lane)}?${new URLSearchParams({ key })}`;

export const TierChips = ({ tiers }: { readonly tiers: readonly string[] }): VNode => (
  <span class="chips one-line">
    {tiers.map((tier) => (
      <span key={tier} class={`chip ${tier}`}>
        {tier}
      </span>
    ))}
  </span>
);

export function Tags({
  tags,
  onTag,
}: {
  readonly tags: readonly string[];
  readonly onTag?: (tag: string) => void;
}): VNode {
  return (
    <span class="chips">
      {tags.slice(0, MOST_TAGS).map((tag) =>
        onTag === undefined ? (
          <span key={tag} class="chip">
            {shown(tag, 60)}
          </span>
        ) : (
          <button key={tag} type="button" class="link" onClick={() => onTag(tag)}>
            <span class="chip">{shown(tag, 60)}</span>
          </button>
        ),
      )}
      {tags.length > MOST_TAGS && <span class="muted">+{tags.length - MOST_TAGS}</span>}
    </span>
  );
}
