import type { VNode } from 'preact';
import { get } from '../api.js';
import { useLive, useLoaded } from '../hooks.js';
import type { HostReport } from '../model.js';
import { agoText, bytesText, countText, shown, timeText } from '../words.js';

type ShownHost = Partial<Omit<HostReport, 'processes'>> & {
  readonly processes?: readonly {
    readonly pid?: number;
    readonly role: 'owner' | 'follower';
    readonly since: string;
    readonly version: string;
  }[];
};

const ROLES = {
  alone: 'This process is alone: it owns the directory.',
  owner: 'This process owns the directory. The others read the persistent disk through it.',
  follower: 'Another process owns the directory. This one reads the persistent disk through it.',
} as const;

/** The processes that share the directory, and how far this one follows their log. */
export function Host(): VNode {
  const { at } = useLive();
  const { value, problem } = useLoaded(String(Math.floor(at / 4_000)), () => get<ShownHost>('host'));
  return (
    <>
      <div class="head">
        <div>
          <h1>Host</h1>
          <p>Processes of this machine that name the same directory share what is on disk, and every invalidation.</p>
        </div>
      </div>
      {problem !== undefined && (
        <p class="notice bad" role="alert">
          {problem}
        </p>
      )}
      {value !== undefined && value.role === undefined && (
        <div class="card empty">
          <strong>The app has no directory.</strong>
          It keeps everything in the memory of this process.
        </div>
      )}
      {value?.role !== undefined && (
        <>
          <section class="card" aria-label="This process">
            <header>
              <h2>{ROLES[value.role]}</h2>
            </header>
            <dl class="pairs">
              {value.directory !== undefined && (
                <>
                  <dt>Directory</dt>
                  <dd class="mono">{shown(value.directory, 400)}</dd>
                </>
              )}
              <dt>Log position</dt>
              <dd>{countText(value.log?.position ?? 0)}</dd>
              <dt>Still to read</dt>
              <dd>{value.log?.behindBytes === 0 ? 'nothing' : bytesText(value.log?.behindBytes ?? 0)}</dd>
            </dl>
          </section>
          <section class="card flush" aria-label="Processes">
            <header>
              <h2>Processes</h2>
              <span class="muted num">{countText(value.processes?.length ?? 0)}</span>
            </header>
            <div class="scroll" tabIndex={0} role="group" aria-label="Processes, as a table">
              <table>
                <thead>
                  <tr>
                    <th>Process</th>
                    <th>Role</th>
                    <th>Since</th>
                    <th>Version of the app</th>
                  </tr>
                </thead>
                <tbody>
                  {value.processes?.map(({ pid, role, since, version }, index) => (
                    <tr key={index}>
                      <td class="num">{pid ?? `${index + 1}.`}</td>
                      <td>{role}</td>
                      <td>
                        {timeText(since)} <span class="muted">({agoText(since, at)})</span>
                      </td>
                      <td>{version === '' ? '–' : shown(version, 60)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          </section>
        </>
      )}
    </>
  );
}
