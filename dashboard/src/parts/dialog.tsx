import type { ComponentChildren, VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { messageOf } from '../api.js';

interface ConfirmProps {
  readonly title: string;
  readonly children: ComponentChildren;
  /** What the button says. */
  readonly act: string;
  readonly isDangerous?: boolean;
  readonly canAct?: boolean;
  /** Resolves to what was done, in a sentence. */
  readonly run: () => Promise<string>;
  readonly close: (done?: string) => void;
}

/** Asks before something is done. The dialog of the browser keeps the focus, and closes with Escape. */
export function Confirm({ title, children, act, isDangerous = false, canAct = true, run, close }: ConfirmProps): VNode {
  const dialog = useRef<HTMLDialogElement>(null);
  const [state, setState] = useState<'asking' | 'acting' | { readonly problem: string }>('asking');
  useEffect(() => dialog.current?.showModal(), []);
  const confirm = async (event: Event): Promise<void> => {
    event.preventDefault();
    setState('acting');
    try {
      close(await run());
    } catch (error) {
      setState({ problem: messageOf(error) });
    }
  };
  return (
    <dialog ref={dialog} aria-labelledby="dialog-title" onClose={() => close()}>
      <form class="inner" onSubmit={(event) => void confirm(event)}>
        <h2 id="dialog-title">{title}</h2>
        {children}
        {typeof state === 'object' && (
          <p class="error" role="alert">
            {state.problem}
          </p>
        )}
        <div class="buttons">
          <button type="button" class="act" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button
            type="submit"
            class={isDangerous ? 'act main danger' : 'act main'}
            disabled={state === 'acting' || !canAct}
          >
            {state === 'acting' ? 'Working…' : act}
          </button>
        </div>
      </form>
    </dialog>
  );
}

const SHOWN_MS = 6_000;

/** Says for a moment what was done. */
export function useToast(): readonly [VNode, (text: string | undefined) => void] {
  const [text, setText] = useState<string>();
  useEffect(() => {
    if (text === undefined) return undefined;
    const timer = setTimeout(() => setText(undefined), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return [
    <div role="status" aria-live="polite">
      {text !== undefined && <div class="toast">{text}</div>}
    </div>,
    setText,
  ];
}
