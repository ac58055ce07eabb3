import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { get, messageOf } from '../api.js';
import { useLive } from '../hooks.js';
import type { EntryInfo, EntryPage } from '../model.js';
import { useInvalidation } from '../parts/actions.js';
import { EntryTable } from '../parts/entry-table.js';
import { Locked } from '../parts/locked.js';
import { countText } from '../words.js';

interface Filter {
  readonly pattern: string;
  readonly tag: string;
  readonly tier: string;
  readonly lane: string;
}

interface Search {
  readonly items: readonly EntryInfo[];
  readonly next: string | undefined;
  readonly scanned: number;
  readonly state: 'searching' | 'paused' | 'ended' | { readonly problem: string };
}

const NOTHING: Search = { items: [], next: undefined, scanned: 0, state: 'searching' };
const PAGE = 50;

const filterOf = (query: URLSearchParams): Filter => ({
  pattern: query.get('pattern') ?? '',
  tag: query.get('tag') ?? '',
  tier: query.get('tier') ?? '',
  lane: query.get('lane') ?? '',
});

function hrefOf(filter: Filter): string {
  const given = Object.entries(filter).filter(([, value]) => value !== '');
  return `#/entries${given.length === 0 ? '' : `?${new URLSearchParams(given)}`}`;
}

/** Search by pattern, tag and tier, page by page. The filter is in the address, so that a search can be shared. */
export function Entries({ query }: { readonly query: URLSearchParams }): VNode {
  const { lanes, access } = useLive();
  const filter = filterOf(query);
  const address = hrefOf(filter);
  const [draft, setDraft] = useState(filter);
  const { search, more, again } = useSearch(address, filter, access.role !== 'open');
  const [dialog, invalidate] = useInvalidation(again);
  useEffect(() => setDraft(filter), [address]);
  if (access.role === 'open') return <Locked title="Entries" what="Keys" />;
  const go = (next: Filter): void => {
    location.hash = hrefOf(next);
  };
  const field = (name: keyof Filter) => ({
    value: draft[name],
    onInput: (event: Event) => setDraft({ ...draft, [name]: (event.target as HTMLInputElement).value }),
  });
  return (
    <>
      <div class="head">
        <div>
          <h1>Entries</h1>
          <p>What is stored and could be served, the most recently used first.</p>
        </div>
      </div>
      <form
        class="card form"
        role="search"
        onSubmit={(event) => {
          event.preventDefault();
          if (hrefOf(draft) === address) again();
          else go(draft);
        }}
      >
        <label class="field wide">
          Key
          <input type="search" placeholder="report:*" spellcheck={false} autocomplete="off" {...field('pattern')} />
        </label>
        <label class="field wide">
          Tag
          <input type="search" spellcheck={false} autocomplete="off" {...field('tag')} />
        </label>
        <label class="field">
          Lane
          <select {...field('lane')}>
            <option value="">All lanes</option>
            {lanes.map(({ lane: name }) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <label class="field">
          Tier
          <select {...field('tier')}>
            <option value="">All tiers</option>
            <option value="l1">Memory</option>
            <option value="l2">Session disk</option>
            <option value="l3">Persistent disk</option>
          </select>
        </label>
        <button type="submit" class="act main">
          Search
        </button>
      </form>
      <section class="card flush" aria-label="Found">
        {(filter.tag !== '' || filter.pattern !== '') && (
          <header>
            <h2>Found</h2>
            <div class="form">
              {filter.tag !== '' && (
                <button type="button" class="act danger" onClick={() => invalidate({ tags: [filter.tag] })}>
                  Invalidate this tag
                </button>
              )}
              {filter.pattern !== '' && filter.tag === '' && filter.lane === '' && (
                <span class="muted">Choose a lane to invalidate what matches.</span>
              )}
              {filter.pattern !== '' && filter.tag === '' && filter.lane !== '' && (
                <button
                  type="button"
                  class="act danger"
                  onClick={() => invalidate({ pattern: filter.pattern, lane: filter.lane })}
                >
                  Invalidate what matches
                </button>
              )}
            </div>
          </header>
        )}
        {typeof search.state === 'object' ? (
          <p class="empty error" role="alert">
            {search.state.problem}
          </p>
        ) : (
          <EntryTable
            entries={search.items}
            isLoading={search.state === 'searching'}
            extra="lane"
            onTag={(tag) => go({ pattern: '', tag, tier: '', lane: filter.lane })}
          />
        )}
        <p class="more" role="status">
          <span>
            {countText(search.items.length)} found, {countText(search.scanned)} looked at
            {search.state === 'searching' ? '…' : search.state === 'ended' ? '. That is all.' : '.'}
          </span>
          {search.state === 'paused' && (
            <button type="button" class="act" onClick={more}>
              More
            </button>
          )}
        </p>
      </section>
      {dialog}
    </>
  );
}

/** Goes on until a page is full, as a rare pattern is looked for in many short steps. */
function useSearch(
  address: string,
  filter: Filter,
  isAllowed: boolean,
): { readonly search: Search; readonly more: () => void; readonly again: () => void } {
  const [search, setSearch] = useState(NOTHING);
  const [round, setRound] = useState(0);
  const current = useRef(0);
  const run = async (from: Search): Promise<void> => {
    const mine = ++current.current;
    let state: Search = { ...from, state: 'searching' };
    const wanted = from.items.length + PAGE;
    setSearch(state);
    try {
      while (mine === current.current) {
        const limit = String(wanted - state.items.length);
        const page: EntryPage = await get<EntryPage>('keys', { ...filter, limit, after: state.next });
        if (mine !== current.current) return;
        state = joined(state, page, wanted);
        setSearch(state);
        if (state.state !== 'searching') return;
      }
    } catch (error) {
      if (mine === current.current) setSearch({ ...state, state: { problem: messageOf(error) } });
    }
  };
  useEffect(() => {
    if (isAllowed) void run(NOTHING);
    return () => {
      current.current++;
    };
  }, [address, round, isAllowed]);
  return { search, more: () => void run(search), again: () => setRound((n) => n + 1) };
}

function joined(before: Search, page: EntryPage, wanted: number): Search {
  const known = new Set(before.items.map(({ lane, key }) => `${lane} ${key}`));
  const items = [...before.items, ...page.items.filter(({ lane, key }) => !known.has(`${lane} ${key}`))];
  const state = page.next === undefined ? 'ended' : items.length >= wanted ? 'paused' : 'searching';
  return { items, next: page.next, scanned: before.scanned + page.scanned, state };
}
