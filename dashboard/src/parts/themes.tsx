import type { VNode } from 'preact';
import { useState } from 'preact/hooks';

const THEMES = ['system', 'light', 'dark'] as const;
type Theme = (typeof THEMES)[number];
const NAMES = { system: 'Auto', light: 'Light', dark: 'Dark' } as const;
const STORED = 'lane-cache-theme';

/** Storage may be forbidden. Then the choice lasts as long as the page. */
function storedTheme(): Theme {
  try {
    const stored = localStorage.getItem(STORED);
    return THEMES.find((theme) => theme === stored) ?? 'system';
  } catch {
    return 'system';
  }
}

function show(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
  dispatchEvent(new Event('themechange'));
}

export const restoreTheme = (): void => show(storedTheme());

export function Themes(): VNode {
  const [chosen, setChosen] = useState(storedTheme);
  const choose = (theme: Theme): void => {
    setChosen(theme);
    show(theme);
    try {
      localStorage.setItem(STORED, theme);
    } catch {
      // see storedTheme
    }
  };
  return (
    <div class="themes" role="group" aria-label="Colours">
      {THEMES.map((theme) => (
        <button key={theme} type="button" aria-pressed={theme === chosen} onClick={() => choose(theme)}>
          {NAMES[theme]}
        </button>
      ))}
    </div>
  );
}
