import type { VNode } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { type Place, useLive, usePlace } from './hooks.js';
import type { Live } from './live.js';
import { Brand } from './parts/icons.js';
import { Themes } from './parts/themes.js';
import { Checkpoints } from './screens/checkpoints.js';
import { Entries } from './screens/entries.js';
import { Entry } from './screens/entry.js';
import { Host } from './screens/host.js';
import { Instances } from './screens/instances.js';
import { Lane } from './screens/lane.js';
import { Overview } from './screens/overview.js';
import { percentText, shown } from './words.js';

const SCREENS = [
  ['', 'Overview'],
  ['entries', 'Entries'],
  ['checkpoints', 'Checkpoints'],
  ['host', 'Host'],
  ['instances', 'Instances'],
] as const;

/** The frame around every screen: where one can go, how the page is connected, and the screen itself. */
export function App(): VNode {
  const live = useLive();
  const place = usePlace();
  const main = useRef<HTMLElement>(null);
  const isFirst = useRef(true);
  useEffect(() => {
    document.title = `${titleOf(place)} · Lane cache`;
    // A reader who follows a link by keyboard or screen reader is taken to the screen.
    if (!isFirst.current) main.current?.focus();
    isFirst.current = false;
  }, [place]);
  return (
    <div class="frame">
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        Skip to the content
      </a>
      <Side live={live} place={place} />
      <main id="main" tabIndex={-1} ref={main}>
        <Connection live={live} />
        {live.state === 'loading' ? <p class="muted">Loading…</p> : live.lanes.length === 0 ? null : screenOf(place)}
      </main>
    </div>
  );
}

function Side({ live, place }: { readonly live: Live; readonly place: Place }): VNode {
  const isHere = (screen: string): 'page' | undefined => (place.screen === screen ? 'page' : undefined);
  return (
    <header class="side">
      <a class="brand" href="#/">
        <Brand />
        Lane cache
      </a>
      <nav class="menu" aria-label="Screens">
        {SCREENS.map(([screen, title]) => (
          <>
            <a key={screen} href={`#/${screen}`} aria-current={isHere(screen)}>
              {title}
            </a>
            {screen === '' &&
              live.lanes.map(({ lane, hitRate, requests }) => (
                <a
                  key={`lane ${lane}`}
                  class="sub"
                  href={`#/lane/${encodeURIComponent(lane)}`}
                  aria-current={place.screen === 'lane' && place.name === lane ? 'page' : undefined}
                >
                  <span>{shown(lane, 40)}</span>
                  <span class="num">{requests === 0 ? '–' : percentText(hitRate)}</span>
                </a>
              ))}
          </>
        ))}
      </nav>
      <div class="foot">
        <p class="pulse" role="status">
          <span class={`dot ${DOTS[live.state]}`} />
          {STATES[live.state]}
        </p>
        <Themes />
      </div>
    </header>
  );
}

const DOTS = { loading: '', live: 'on', reconnecting: 'wait', failed: 'bad' } as const;
const STATES = {
  loading: 'Connecting…',
  live: 'Live',
  reconnecting: 'Reconnecting…',
  failed: 'Not connected',
} as const;

function Connection({ live }: { readonly live: Live }): VNode | null {
  if (live.state === 'failed') {
    return (
      <div class="notice bad" role="alert">
        {live.problem ?? 'The app does not answer.'} The page tries again by itself.
      </div>
    );
  }
  if (live.state !== 'reconnecting' || live.problem === undefined) return null;
  return (
    <div class="notice" role="status">
      The app does not answer. What is shown is what it said last. The page tries again by itself.
    </div>
  );
}

function screenOf(place: Place): VNode {
  switch (place.screen) {
    case '':
      return <Overview />;
    case 'lane':
      return <Lane key={place.name} name={place.name} />;
    case 'entries':
      return <Entries query={place.query} />;
    case 'entry':
      return <Entry lane={place.name} entryKey={place.query.get('key') ?? ''} />;
    case 'checkpoints':
      return <Checkpoints query={place.query} />;
    case 'host':
      return <Host />;
    case 'instances':
      return <Instances />;
    default:
      return (
        <div class="card empty">
          <h1>There is no such screen.</h1>
          <a href="#/">Go to the overview</a>
        </div>
      );
  }
}

function titleOf({ screen, name }: Place): string {
  if (screen === 'lane') return `Lane ${shown(name, 40)}`;
  if (screen === 'entry') return 'Entry';
  return SCREENS.find(([one]) => one === screen)?.[1] ?? 'Not found';
}
