import type { VNode } from 'preact';

/** Instead of a screen that shows keys or ids, where the app has no guards. */
export const Locked = ({ title, what }: { readonly title: string; readonly what: string }): VNode => (
  <>
    <div class="head">
      <h1>{title}</h1>
    </div>
    <div class="card empty">
      <strong>{what} are shown behind guards only.</strong>
      Give the option <code class="mono">dashboard</code> its <code class="mono">guards</code>, so that the app knows
      who asks.
    </div>
  </>
);
