import { render } from 'preact';
import { App } from './app.js';
import { LiveContext } from './hooks.js';
import { LiveApp } from './live.js';
import { restoreTheme } from './parts/themes.js';

restoreTheme();
const live = new LiveApp();
void live.start();
const root = document.querySelector('#app');
if (root !== null) {
  root.replaceChildren();
  render(
    <LiveContext.Provider value={live}>
      <App />
    </LiveContext.Provider>,
    root,
  );
}
