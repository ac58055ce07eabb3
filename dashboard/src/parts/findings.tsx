import type { VNode } from 'preact';
import type { ShownFinding } from '../model.js';
import { many, shown, titleOf } from '../words.js';
import { Alert, Check } from './icons.js';

/** What is wrong, the worst first; or that nothing is. */
export function Findings({
  findings,
  role,
}: {
  readonly findings: readonly ShownFinding[];
  readonly role: string;
}): VNode {
  if (findings.length === 0) {
    return (
      <section class="card healthy" aria-label="Findings">
        <Check />
        <p>Nothing is wrong.</p>
      </section>
    );
  }
  const sorted = findings.toSorted((a, b) => rank(a) - rank(b));
  return (
    <section class="card flush" aria-label="Findings">
      <header>
        <h2>{many(findings.length, 'finding')}</h2>
        {role === 'open' && (
          <p class="muted">Evidence and advice: behind guards, or by the doctor of the command line.</p>
        )}
      </header>
      <ul class="findings">
        {sorted.map((finding, index) => (
          <li class="finding" key={index}>
            <Alert severity={finding.severity} />
            <div class="what">
              {titleOf(finding.code)}
              {finding.lane !== undefined && (
                <>
                  {' in '}
                  <a href={`#/lane/${encodeURIComponent(finding.lane)}`}>{shown(finding.lane, 60)}</a>
                </>
              )}
              <span class="code">{finding.code}</span>
            </div>
            {finding.evidence !== undefined && <p>{sentence(shown(finding.evidence, 600))}</p>}
            {finding.advice !== undefined && <p class="advice">{shown(finding.advice, 600)}</p>}
          </li>
        ))}
      </ul>
    </section>
  );
}

const rank = ({ severity }: ShownFinding): number => (severity === 'error' ? 0 : 1);

const sentence = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;
