import type { VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { get, post } from '../api.js';
import { useLive, useLoaded } from '../hooks.js';
import type {
  CheckpointInfo,
  CheckpointPage,
  CheckpointStatus,
  CleanupReport,
  OperationResult,
  ShownCheckpoint,
} from '../model.js';
import { Confirm, useToast } from '../parts/dialog.js';
import { bytesText, countText, many, offText, shown, spanText, timeText } from '../words.js';

type Page = CheckpointStatus & Partial<CheckpointPage>;

/** What a button of a checkpoint asks. */
type Asked =
  | { readonly what: 'remove'; readonly of: CheckpointInfo }
  | { readonly what: 'fork'; readonly of: CheckpointInfo }
  | { readonly what: 'workflow'; readonly workflow: string }
  | { readonly what: 'finish'; readonly workflow: string }
  | { readonly what: 'cleanup' };

/** Saved states of workflows: their versions, and what can be done with them. */
export function Checkpoints({ query }: { readonly query: URLSearchParams }): VNode {
  const { access, checkpoints } = useLive();
  const workflow = query.get('workflow') ?? '';
  const id = query.get('id') ?? '';
  const [after, setAfter] = useState<readonly string[]>([]);
  const [asked, setAsked] = useState<Asked>();
  const [toast, say] = useToast();
  useEffect(() => setAfter([]), [workflow]);
  const { value, problem, reload } = useLoaded(`${workflow} ${after.at(-1) ?? ''}`, () =>
    get<Page>('checkpoints', access.role === 'open' ? {} : { workflow, after: after.at(-1), limit: '50' }),
  );
  const status = checkpoints ?? value;
  const done = (text: string | undefined): void => {
    setAsked(undefined);
    say(text);
    if (text !== undefined) reload();
  };
  return (
    <>
      <div class="head">
        <div>
          <h1>Checkpoints</h1>
          {status !== undefined && (
            <p>
              {status.state === 'off'
                ? `Checkpoints are off: ${offText(status.reason)}.`
                : `${many(status.cachedCheckpoints, 'checkpoint')} in ${many(status.versions, 'version')}, ${bytesText(status.bytes)}`}
            </p>
          )}
        </div>
        {access.role !== 'open' && status?.state === 'on' && (
          <button type="button" class="act" onClick={() => setAsked({ what: 'cleanup' })}>
            Clean up…
          </button>
        )}
      </div>
      {problem !== undefined && (
        <p class="notice bad" role="alert">
          {problem}
        </p>
      )}
      {status !== undefined && <LaneCounts status={status} />}
      {access.role === 'open' ? (
        <div class="card empty">
          <strong>Ids and workflows are shown behind guards only.</strong>
          Give the option <code class="mono">dashboard</code> its <code class="mono">guards</code>.
        </div>
      ) : (
        value !== undefined && (
          <>
            {id !== '' && <History key={id} id={id} ask={setAsked} changed={done} round={value} />}
            <Workflow workflow={workflow} ask={setAsked} />
            <section class="card flush" aria-label="Versions">
              <VersionTable items={value.items ?? []} ask={setAsked} changed={done} showsId />
              {(value.next !== undefined || after.length > 0) && (
                <p class="more">
                  <button
                    type="button"
                    class="act"
                    disabled={after.length === 0}
                    onClick={() => setAfter(after.slice(0, -1))}
                  >
                    Newer
                  </button>
                  <button
                    type="button"
                    class="act"
                    disabled={value.next === undefined}
                    onClick={() => value.next !== undefined && setAfter([...after, value.next])}
                  >
                    Older
                  </button>
                </p>
              )}
            </section>
          </>
        )
      )}
      {asked !== undefined && <Question asked={asked} done={done} />}
      {toast}
    </>
  );
}

function LaneCounts({ status }: { readonly status: CheckpointStatus }): VNode | null {
  const lanes = Object.entries(status.lanes);
  if (lanes.length === 0) return null;
  return (
    <div class="grid">
      {lanes.map(([lane, { cachedCheckpoints, versions, bytes, newest }]) => (
        <section class="card" key={lane} aria-label={`Lane ${lane}`}>
          <header>
            <h2>{shown(lane, 60)}</h2>
            <span class="muted num">{bytesText(bytes)}</span>
          </header>
          <p class="num">
            {many(cachedCheckpoints, 'checkpoint')}, {many(versions, 'version')}
          </p>
          {newest !== undefined && <p class="muted">newest {timeText(newest)}</p>}
        </section>
      ))}
    </div>
  );
}

/** A filter by workflow, and what can be done with a whole one. */
function Workflow({ workflow, ask }: { readonly workflow: string; readonly ask: (asked: Asked) => void }): VNode {
  const [draft, setDraft] = useState(workflow);
  useEffect(() => setDraft(workflow), [workflow]);
  return (
    <form
      class="card form"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        location.hash = draft === '' ? '#/checkpoints' : `#/checkpoints?${new URLSearchParams({ workflow: draft })}`;
      }}
    >
      <label class="field wide">
        Workflow
        <input
          type="search"
          spellcheck={false}
          autocomplete="off"
          value={draft}
          onInput={(event) => setDraft(event.currentTarget.value)}
        />
      </label>
      <button type="submit" class="act main">
        Show
      </button>
      {workflow !== '' && (
        <>
          <button type="button" class="act" onClick={() => ask({ what: 'finish', workflow })}>
            Mark as done
          </button>
          <button type="button" class="act danger" onClick={() => ask({ what: 'workflow', workflow })}>
            Start over
          </button>
        </>
      )}
    </form>
  );
}

interface TableProps {
  readonly items: readonly CheckpointInfo[];
  readonly ask: (asked: Asked) => void;
  readonly changed: (done: string | undefined) => void;
  readonly showsId?: boolean;
}

function VersionTable({ items, ask, changed, showsId = false }: TableProps): VNode {
  if (items.length === 0) {
    return (
      <p class="empty">
        <strong>No checkpoints.</strong>Nothing was saved that fits.
      </p>
    );
  }
  const mark = async ({ id, version, pinned }: CheckpointInfo): Promise<void> => {
    await post<OperationResult>(pinned ? 'checkpoints/unpin' : 'checkpoints/pin', { id, version });
    changed(pinned ? 'The version may be cleaned up again.' : 'No cleanup removes this version.');
  };
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label="Versions, as a table">
      <table>
        <thead>
          <tr>
            {showsId && <th>Checkpoint</th>}
            <th class={showsId ? 'right' : ''}>Version</th>
            <th>Workflow</th>
            <th>Saved</th>
            <th class="right">Size</th>
            <th class="right">Step took</th>
            <th>
              <span class="unseen">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {items.map((info) => {
            const { id, version, workflow, step, savedAt, sizeBytes, durationMs, pinned, savedBy } = info;
            const name = `${shown(id, 60)} version ${version}`;
            const pin = pinned && <span class="chip aside">pinned</span>;
            return (
              <tr key={`${id} ${version}`}>
                {showsId && (
                  <td class="key mono">
                    <a
                      href={`#/checkpoints?${new URLSearchParams({ id, ...(workflow !== undefined && { workflow }) })}`}
                    >
                      {shown(id, 120)}
                    </a>
                  </td>
                )}
                <td class={showsId ? 'right' : ''}>
                  {showsId && pin}
                  {version}
                  {!showsId && pin}
                </td>
                <td>
                  {workflow === undefined ? (
                    '–'
                  ) : (
                    <a href={`#/checkpoints?${new URLSearchParams({ workflow })}`}>{shown(workflow, 60)}</a>
                  )}
                  {step !== undefined && <span class="muted step">step {shown(String(step), 40)}</span>}
                </td>
                <td class="when" title={savedBy === undefined ? undefined : `by ${shown(savedBy, 80)}`}>
                  {timeText(savedAt)}
                </td>
                <td class="right">{bytesText(sizeBytes)}</td>
                <td class="right">{durationMs === undefined ? '–' : spanText(durationMs)}</td>
                <td class="acts">
                  <span class="chips">
                    <button
                      type="button"
                      class="act small"
                      onClick={() => void mark(info).catch((error: unknown) => changed(String(error)))}
                      aria-label={`${pinned ? 'Unpin' : 'Pin'} ${name}`}
                    >
                      {pinned ? 'Unpin' : 'Pin'}
                    </button>
                    <button
                      type="button"
                      class="act small"
                      onClick={() => ask({ what: 'fork', of: info })}
                      aria-label={`Fork ${name}`}
                    >
                      Fork
                    </button>
                    <button
                      type="button"
                      class="act small danger"
                      onClick={() => ask({ what: 'remove', of: info })}
                      aria-label={`Remove ${name}`}
                    >
                      Remove
                    </button>
                  </span>
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

/** All versions of an id, and the state of one if states may be shown. */
function History({
  id,
  ask,
  changed,
  round,
}: {
  readonly id: string;
  readonly ask: (asked: Asked) => void;
  readonly changed: (done: string | undefined) => void;
  readonly round: object;
}): VNode {
  const { access } = useLive();
  const { value, problem, reload } = useLoaded(id, () =>
    get<{ readonly items: readonly CheckpointInfo[] }>('checkpoints/history', { id }),
  );
  useEffect(reload, [round]);
  return (
    <section class="card flush" aria-label="Versions of one checkpoint">
      <header>
        <h2 class="mono">{shown(id, 200)}</h2>
        <a href="#/checkpoints">Close</a>
      </header>
      {problem !== undefined && (
        <p class="empty error" role="alert">
          {problem}
        </p>
      )}
      {value !== undefined && <VersionTable items={value.items} ask={ask} changed={changed} />}
      {access.role === 'peek' && <State id={id} />}
    </section>
  );
}

function State({ id }: { readonly id: string }): VNode {
  const [isAsked, setAsked] = useState(false);
  const { value, problem } = useLoaded(`${id} ${isAsked}`, async () =>
    isAsked ? get<Partial<ShownCheckpoint>>('checkpoints/state', { id }) : undefined,
  );
  return (
    <div class="more">
      {!isAsked && (
        <button type="button" class="act" onClick={() => setAsked(true)}>
          Show the newest state
        </button>
      )}
      {problem !== undefined && <span class="error">{problem}</span>}
      {value !== undefined && (
        <pre tabIndex={0} aria-label="State">
          {value.state ?? 'There is no state that could be restored.'}
        </pre>
      )}
    </div>
  );
}

function Question({
  asked,
  done,
}: {
  readonly asked: Asked;
  readonly done: (text: string | undefined) => void;
}): VNode {
  switch (asked.what) {
    case 'remove':
      return (
        <Confirm
          title={`Remove version ${asked.of.version} of ${shown(asked.of.id, 80)}?`}
          act="Remove"
          isDangerous
          run={async () => {
            const { id, version } = asked.of;
            const { removed = 0 } = await post<OperationResult>('checkpoints/remove', { id, version });
            return `${many(removed, 'version')} removed.`;
          }}
          close={done}
        >
          <p>It cannot be restored afterwards.</p>
        </Confirm>
      );
    case 'fork':
      return <Fork of={asked.of} done={done} />;
    case 'workflow':
      return (
        <Confirm
          title={`Start ${shown(asked.workflow, 80)} over?`}
          act="Start over"
          isDangerous
          run={async () => {
            const { removed = 0 } = await post<OperationResult>('workflows/invalidate', { workflow: asked.workflow });
            return `${many(removed, 'version')} removed. The workflow starts anew.`;
          }}
          close={done}
        >
          <p>All its states go, pinned ones too. Steps that run now cannot save afterwards.</p>
        </Confirm>
      );
    case 'finish':
      return (
        <Confirm
          title={`Mark ${shown(asked.workflow, 80)} as done?`}
          act="Mark as done"
          run={async () => {
            await post<OperationResult>('workflows/finish', { workflow: asked.workflow });
            return 'The workflow is done. Its states may be cleaned up.';
          }}
          close={done}
        >
          <p>A cleanup may remove its states from then on. A later save opens it again.</p>
        </Confirm>
      );
    default:
      return <Cleanup done={done} />;
  }
}

function Fork({ of, done }: { readonly of: CheckpointInfo; readonly done: (text: string | undefined) => void }): VNode {
  const [to, setTo] = useState('');
  return (
    <Confirm
      title={`Fork ${shown(of.id, 80)}, version ${of.version}`}
      act="Fork"
      canAct={to !== ''}
      run={async () => {
        await post<CheckpointInfo>('checkpoints/fork', { from: of.id, to, version: of.version });
        return `${shown(to, 80)} begins with this state.`;
      }}
      close={done}
    >
      <label class="field">
        The new id
        <input value={to} onInput={(event) => setTo(event.currentTarget.value)} autocomplete="off" spellcheck={false} />
      </label>
      <p class="muted">It begins with this state. The checkpoint itself stays as it is.</p>
    </Confirm>
  );
}

const REASONS = {
  expired: 'its life has ended',
  'too-old': 'older than its lane keeps',
  surplus: 'newer versions are enough',
} as const;

/** Says first which versions would go, and why. */
function Cleanup({ done }: { readonly done: (text: string | undefined) => void }): VNode {
  const { value, problem, isLoading } = useLoaded('cleanup', () => post<CleanupReport>('cleanup', { dryRun: true }));
  return (
    <Confirm
      title="Clean up old checkpoints?"
      act="Clean up"
      isDangerous
      canAct={value !== undefined && value.removed > 0}
      run={async () => {
        const { removed, bytes } = await post<CleanupReport>('cleanup', {});
        return `${many(removed, 'version')} removed, ${bytesText(bytes)}.`;
      }}
      close={done}
    >
      {problem !== undefined && (
        <p class="error" role="alert">
          {problem}
        </p>
      )}
      {isLoading && <p class="muted">Looking what would go…</p>}
      {value !== undefined && (
        <>
          <p>
            {value.removed === 0
              ? 'Nothing is due, by the rules of the app.'
              : `${many(value.removed, 'version')} would go, ${bytesText(value.bytes)}.`}
            {value.pinnedKept > 0 &&
              ` ${countText(value.pinnedKept)} pinned ${value.pinnedKept === 1 ? 'one stays' : 'ones stay'}.`}
          </p>
          {(value.checkpoints ?? []).length > 0 && (
            <ul class="examples" tabIndex={0} aria-label="Versions that would go">
              {value.checkpoints?.slice(0, 100).map(({ id, version, reason }) => (
                <li key={`${id} ${version}`}>
                  <span class="mono">{shown(id, 100)}</span> version {version}:{' '}
                  <span class="muted">{REASONS[reason]}</span>
                </li>
              ))}
            </ul>
          )}
        </>
      )}
    </Confirm>
  );
}
