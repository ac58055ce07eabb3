import type { VNode } from 'preact';
import { useLive } from '../hooks.js';
import { countText, offText, percentText, shown } from '../words.js';

/** How this instance stands to the others that share the server. */
export function Instances(): VNode {
  const { lanes } = useLive();
  const shared = lanes.filter(({ l4 }) => l4.reason !== 'policy');
  return (
    <>
      <div class="head">
        <div>
          <h1>Instances</h1>
          <p>Instances of the app share entries and invalidations through Redis.</p>
        </div>
      </div>
      {shared.length === 0 ? (
        <div class="card empty">
          <strong>The app shares no server.</strong>
          With the option <code class="mono">distributed</code>, its instances on other machines share entries and
          invalidations.
        </div>
      ) : (
        <section class="card flush" aria-label="Lanes on the server">
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
                {shared.map(({ lane, l4 }) => (
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
      )}
    </>
  );
}
