import { createContext } from 'preact';
import { useCallback, useContext, useEffect, useState } from 'preact/hooks';
import { messageOf } from './api.js';
import { LiveApp, type Live } from './live.js';

export const LiveContext = createContext(new LiveApp());

/** What is live, rendered anew with each state. */
export function useLive(): Live {
  const app = useContext(LiveContext);
  const [live, setLive] = useState(app.current);
  useEffect(() => app.subscribe(() => setLive(app.current)), [app]);
  return live;
}

/** Where in the page the reader is: the part of the address after `#`. */
export interface Place {
  readonly screen: string;
  readonly name: string;
  readonly query: URLSearchParams;
}

export function placeOf(hash: string): Place {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?');
  const [screen = '', name = ''] = path.split('/');
  return { screen, name: decoded(name), query: new URLSearchParams(query) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function usePlace(): Place {
  const [place, setPlace] = useState(() => placeOf(location.hash));
  useEffect(() => {
    const follow = (): void => setPlace(placeOf(location.hash));
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  return place;
}

/** What is loaded: nothing yet, a value, or why not. The value before stays until the next one is there. */
export interface Loaded<T> {
  readonly value?: T;
  readonly problem?: string;
  readonly isLoading: boolean;
  readonly reload: () => void;
}

/** Loads again whenever `key` changes, and when asked to. */
export function useLoaded<T>(key: string, load: () => Promise<T>): Loaded<T> {
  const [state, setState] = useState<Omit<Loaded<T>, 'reload'>>({ isLoading: true });
  const [round, setRound] = useState(0);
  useEffect(() => {
    let isCurrent = true;
    setState((before) => ({ ...before, isLoading: true }));
    load().then(
      (value) => {
        if (isCurrent) setState({ value, isLoading: false });
      },
      (error: unknown) => {
        if (isCurrent) setState({ problem: messageOf(error), isLoading: false });
      },
    );
    return () => {
      isCurrent = false;
    };
  }, [key, round]);
  const reload = useCallback(() => setRound((n) => n + 1), []);
  return { ...state, reload };
}
