import type { VNode } from 'preact';

export const Brand = (): VNode => (
  <svg width="24" height="24" viewBox="0 0 32 32" aria-hidden="true">
    <rect width="32" height="32" rx="8" fill="var(--accent)" />
    <path d="M8 11h16M8 16h11M8 21h6" stroke="var(--surface)" stroke-width="2.6" stroke-linecap="round" />
  </svg>
);

export const Check = (): VNode => (
  <svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true" fill="none">
    <circle cx="9" cy="9" r="8.2" stroke="currentcolor" stroke-width="1.4" />
    <path
      d="m5.4 9.2 2.4 2.4 4.8-5"
      stroke="currentcolor"
      stroke-width="1.6"
      stroke-linecap="round"
      stroke-linejoin="round"
    />
  </svg>
);

export const Alert = ({ severity }: { readonly severity: 'error' | 'warning' }): VNode => (
  <svg
    class={`sign ${severity}`}
    width="18"
    height="18"
    viewBox="0 0 18 18"
    role="img"
    aria-label={severity}
    fill="none"
  >
    {severity === 'error' ? (
      <circle cx="9" cy="9" r="8.2" stroke="currentcolor" stroke-width="1.4" />
    ) : (
      <path d="M9 1.9 16.6 15.4H1.4Z" stroke="currentcolor" stroke-width="1.4" stroke-linejoin="round" />
    )}
    <path
      d={severity === 'error' ? 'M9 5v4.6' : 'M9 7v4'}
      stroke="currentcolor"
      stroke-width="1.6"
      stroke-linecap="round"
    />
    <circle cx="9" cy={severity === 'error' ? 12.6 : 13.1} r="0.9" fill="currentcolor" />
  </svg>
);
