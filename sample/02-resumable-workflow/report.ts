import type { ProcessLog } from './processes.js';

/** One line about a run. */
export function lineOf(label: string, { names, restored, started, saved, signal, wallMs }: ProcessLog): string {
  const seconds = `${(wallMs / 1_000).toFixed(1)} s`.padStart(7);
  const parts: string[] = [];
  if (restored.length > 0) parts.push(`${restored.length} steps restored, continued at step ${started[0]}`);
  parts.push(`${saved.length} steps run and saved`);
  const last = started.at(-1) ?? 0;
  if (signal !== null) parts.push(`${signal} in the middle of step ${last} (${names[last - 1]})`);
  return `${label.padEnd(13)} ${seconds}  ${parts.join(', ')}`;
}

/** The expectations that a run did not meet. */
export function faultsOf(whole: ProcessLog, killed: ProcessLog, resumed: ProcessLog): readonly string[] {
  const steps = Array.from({ length: whole.names.length }, (_, index) => index + 1);
  const acknowledged = killed.saved.at(-1) ?? 0;
  // a step that was saved just before the kill may not have been acknowledged
  const continuedAt = resumed.started[0] ?? 0;
  const isNext = continuedAt === acknowledged + 1 || continuedAt === acknowledged + 2;
  const checks: readonly (readonly [holds: boolean, fault: string])[] = [
    [isSame(whole.saved, steps), 'The uninterrupted run did not run every step once.'],
    [killed.signal === 'SIGKILL' && killed.result === undefined, 'The second process was not killed in the middle.'],
    [acknowledged > 0, 'The second process had saved nothing when it was killed.'],
    [isNext, `Step ${acknowledged} was the last acknowledged one, but the third process continued at ${continuedAt}.`],
    [isSame([...resumed.restored, ...resumed.saved], steps), 'The third process left steps out or ran some twice.'],
    [resumed.result?.results === whole.result?.results, 'The steps gave other results.'],
    [resumed.result?.site === whole.result?.site, 'The sites differ.'],
    [whole.result !== undefined, 'There is no result.'],
  ];
  return checks.filter(([holds]) => !holds).map(([, fault]) => fault);
}

const isSame = (some: readonly number[], others: readonly number[]): boolean => some.join() === others.join();
