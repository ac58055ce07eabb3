import type { VNode } from 'preact';
import { useState } from 'preact/hooks';
import { post } from '../api.js';
import { useLoaded } from '../hooks.js';
import type { InvalidationPreview, InvalidationTarget, OperationResult } from '../model.js';
import { countText, shown } from '../words.js';
import { Confirm, useToast } from './dialog.js';

const entries = (count: number): string => `${countText(count)} ${count === 1 ? 'entry' : 'entries'}`;

/** Removes all entries of a lane. */
export function Clear({ lane }: { readonly lane: string }): VNode {
  const [isOpen, setOpen] = useState(false);
  const [toast, say] = useToast();
  return (
    <div>
      <button type="button" class="act danger" onClick={() => setOpen(true)}>
        Clear lane
      </button>
      {isOpen && (
        <Confirm
          title={`Clear the lane ${shown(lane, 60)}?`}
          act="Clear"
          isDangerous
          run={async () => {
            await post<OperationResult>('clear', { lane });
            return 'The lane was cleared.';
          }}
          close={(done) => {
            setOpen(false);
            say(done);
          }}
        >
          <p>All its entries go, in every tier. They are computed again when they are asked for. Checkpoints stay.</p>
        </Confirm>
      )}
      {toast}
    </div>
  );
}

/** The dialog of an invalidation with what it has done, and what opens it. `done` is called once something was invalidated. */
export function useInvalidation(done: () => void): readonly [VNode, (target: InvalidationTarget) => void] {
  const [target, setTarget] = useState<InvalidationTarget>();
  const [toast, say] = useToast();
  const close = (text?: string): void => {
    setTarget(undefined);
    say(text);
    if (text !== undefined) done();
  };
  const dialog = (
    <>
      {target !== undefined && <Invalidate target={target} close={close} />}
      {toast}
    </>
  );
  return [dialog, setTarget];
}

interface InvalidateProps {
  readonly target: InvalidationTarget;
  readonly close: (done?: string) => void;
}

/** Shows what an invalidation would reach, and does it. */
function Invalidate({ target, close }: InvalidateProps): VNode {
  const { value, problem, isLoading } = useLoaded(JSON.stringify(target), () =>
    post<InvalidationPreview>('preview', target),
  );
  const subject = subjectOf(target);
  return (
    <Confirm
      title={`Invalidate ${subject}?`}
      act="Invalidate"
      isDangerous
      canAct={value !== undefined}
      run={async () => {
        const { removed } = await post<OperationResult>('invalidate', target);
        return removed === undefined
          ? `Invalidated ${subject}.`
          : `Invalidated ${subject}: ${entries(removed)} removed.`;
      }}
      close={close}
    >
      {problem !== undefined && (
        <p class="error" role="alert">
          {problem}
        </p>
      )}
      {isLoading && <p class="muted">Looking what it would reach…</p>}
      {value !== undefined && (
        <>
          <p>
            It reaches {value.isComplete ? '' : 'at least '}
            <strong>{entries(value.matches)}</strong>
            {'tags' in target ? ', in all lanes' : ''}. They are computed again when they are asked for.
          </p>
          {value.keys.length > 0 && (
            <ul class="examples" tabIndex={0} aria-label="Some of the keys">
              {value.keys.map((key) => (
                <li class="mono" key={key}>
                  {shown(key, 160)}
                </li>
              ))}
              {value.matches > value.keys.length && <li class="muted">…</li>}
            </ul>
          )}
        </>
      )}
    </Confirm>
  );
}

function subjectOf(target: InvalidationTarget): string {
  if ('key' in target) return `the key ${shown(target.key, 80)}`;
  if ('pattern' in target) return `what matches ${shown(target.pattern, 80)}`;
  return `the tag ${shown(target.tags.join(', '), 80)}`;
}
