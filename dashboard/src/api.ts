/** An answer that is no success. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Links are relative, so that the page works behind prefixes and proxies. */
const urlOf = (path: string): string => `./api/${path}`;

export async function get<T>(path: string, query: Readonly<Record<string, string | undefined>> = {}): Promise<T> {
  const given = Object.entries(query).filter(
    (pair): pair is [string, string] => pair[1] !== undefined && pair[1] !== '',
  );
  const search = given.length === 0 ? '' : `?${new URLSearchParams(given)}`;
  return read(await send(urlOf(path) + search));
}

export async function post<T>(path: string, body: object): Promise<T> {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  return read(await send(urlOf(path), init));
}

async function send(url: string, init: RequestInit = {}): Promise<Response> {
  try {
    return await fetch(url, { credentials: 'same-origin', ...init });
  } catch {
    throw new ApiError(0, 'The app does not answer. It may be restarting.');
  }
}

async function read<T>(response: Response): Promise<T> {
  if (response.ok) return (await response.json()) as T;
  const text = await response.text();
  throw new ApiError(response.status, messageIn(text) ?? `The app answered ${response.status}.`);
}

function messageIn(text: string): string | undefined {
  try {
    const { message }: { readonly message?: unknown } = Object(JSON.parse(text));
    return typeof message === 'string' ? message : undefined;
  } catch {
    return undefined;
  }
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
