import type { VNode } from 'preact';
import { get } from '../api.js';
import { useLive, useLoaded } from '../hooks.js';
import type { InstanceReport, LaneMetrics } from '../model.js';
import { agoText, countText, spanText, offText, percentText, shown } from '../words.js';

/** Without guards nobody is named. */
type ShownInstance = Omit<InstanceReport, 'host' | 'pid'> & Partial<Pick<InstanceReport, 'host' | 'pid'>>;

/** An instance whose lag is longer has not followed the others for a while. */
const LAGGING_MS = 1_000;
/** Instances report every 5 s. */
const SILENT_MS = 15_000;

/** The instances that share the server, and how far each follows the invalidations of the others. */
export function Instances(): VNode {
  const { lanes, at } = useLive();
  const { value, problem } = useLoaded(String(Math.floor(at / 4_000)), () =>
    get<{ readonly items: readonly ShownInstance[] }>('instances'),
  );
  const shared = lanes.filter(({ l4 }) => l4.reason !== 'policy');
  return (
    <>
      <div class="head">
        <div>
          <h1>Instances</h1>
          <p>Instances of the app share entries and invalidations through Redis.</p>
        </div>
      </div>
      {problem !== undefined && (
        <p class="notice bad" role="alert">
          {problem}
        </p>
      )}
      {shared.length === 0 && value?.items.length === 0 && (
        <div class="card empty">
          <strong>The app shares no server.</strong>
          With the option <code class="mono">distributed</code>, its instances on other machines share entries and
          invalidations.
        </div>
      )}
      {value !== undefined && value.items.length > 0 && <Roster instances={value.items} at={at} />}
      {shared.length > 0 && <LanesOnServer lanes={shared} />}
    </>
  );
}

function Roster({ instances, at }: { readonly instances: readonly ShownInstance[]; readonly at: number }): VNode {
  return (
    <section class="card flush" aria-label="Instances">
      <header>
        <h2>Instances</h2>
        <span class="muted num">{countText(instances.length)}</span>
      </header>
      <div class="scroll" tabIndex={0} role="group" aria-label="Instances, as a table">
        <table>
          <thead>
            <tr>
              <th>Host</th>
              <th>Process</th>
              <th>State</th>
              <th class="right">Lag</th>
              <th class="right">Records behind</th>
              <th>Started</th>
              <th>Reported</th>
              <th>Version of the app</th>
            </tr>
          </thead>
          <tbody>
            {instances.map((one, index) => (
              <tr key={index}>
                <td>{one.host === undefined ? `${index + 1}.` : shown(one.host, 60)}</td>
                <td class="num">
                  {one.pid ?? '–'}
                  {one.isSelf && <span class="muted"> this one</span>}
                </td>
                <td class={isWell(one) ? '' : 'warning'}>{stateText(one)}</td>
                <td class={`right ${one.lagMs > LAGGING_MS ? 'warning' : ''}`}>{spanText(one.lagMs)}</td>
                <td class="right">{countText(one.behind)}</td>
                <td>{agoText(one.since, at)}</td>
                <td>{agoText(at - one.reportedMs, at)}</td>
                <td>{one.version === '' ? '–' : shown(one.version, 60)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

const isWell = ({ isConnected, reportedMs }: ShownInstance): boolean => isConnected && reportedMs < SILENT_MS;

function stateText({ isConnected, reportedMs }: ShownInstance): string {
  if (reportedMs >= SILENT_MS) return 'silent';
  return isConnected ? 'connected' : 'disconnected';
}

function LanesOnServer({ lanes }: { readonly lanes: readonly LaneMetrics[] }): VNode {
  return (
    <section class="card flush" aria-label="Lanes on the server">
      <header>
        <h2>Lanes on the server</h2>
      </header>
      <div class="scroll" tabIndex={0} role="group" aria-label="Lanes on the server, as a table">
        <table>
          <thead>
            <tr>
              <th>Lane</th>
              <th>State</th>
              <th class="right">Hits</th>
              <th class="right">Hit rate</th>
              <th class="right">Errors</th>
            </tr>
          </thead>
          <tbody>
            {lanes.map(({ lane, l4 }) => (
              <tr key={lane}>
                <td>{shown(lane, 60)}</td>
                <td class={l4.state === 'on' ? '' : 'warning'}>
                  {l4.state === 'on' ? 'connected' : offText(l4.reason)}
                </td>
                <td class="right">{countText(l4.hits)}</td>
                <td class="right">{l4.hits + l4.misses === 0 ? '–' : percentText(l4.hitRate)}</td>
                <td class="right">{countText(l4.errors)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
