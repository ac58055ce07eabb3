import type { ProcessLog } from './processes.js';

/** One line about a run. */
export function lineOf(label: string, { names, steps, signal, wallMs }: ProcessLog): string {
  const seconds = `${(wallMs / 1_000).toFixed(1)} s`.padStart(7);
  const parts: string[] = [];
  const taken = steps.restored.length + steps.adopted.length;
  if (taken > 0) parts.push(`${taken} steps taken over`);
  parts.push(`${steps.saved.length} steps run and saved`);
  const last = steps.started.at(-1) ?? 0;
  if (signal !== null) parts.push(`${signal} in the middle of step ${last} (${names[last - 1]})`);
  return `${label.padEnd(13)} ${seconds}  ${parts.join(', ')}`;
}

/** The four processes of the sample. */
export interface ProcessLogs {
  /** Alone and uninterrupted. */
  readonly whole: ProcessLog;
  /** Of two that ran at the same time: the one that was killed, and the other. */
  readonly killed: ProcessLog;
  readonly adopting: ProcessLog;
  /** Started over afterwards. */
  readonly anew: ProcessLog;
}

/** The expectations that the runs did not meet. */
export function faultsOf({ whole, killed, adopting, anew }: ProcessLogs): readonly string[] {
  const all = Array.from({ length: whole.names.length }, (_, index) => index + 1);
  const taken = [...adopting.steps.restored, ...adopting.steps.adopted];
  const saved = [...killed.steps.saved, ...adopting.steps.saved];
  // a step that was saved just before the kill may not have been reported
  const unreported = all.filter((step) => !saved.includes(step));
  const checks: readonly (readonly [holds: boolean, fault: string])[] = [
    [isSame(whole.steps.saved, all), 'The uninterrupted run did not run every step once.'],
    [killed.signal === 'SIGKILL' && killed.result === undefined, 'No process was killed in the middle.'],
    [killed.steps.saved.length > 0, 'The killed process had saved nothing.'],
    [new Set(saved).size === saved.length, 'Both processes ran the same step to its end.'],
    [unreported.length <= 1, `No process ran the steps ${unreported.join()}.`],
    [unreported.every((step) => taken.includes(step)), 'The other process left a step out.'],
    [
      isSame(
        [...taken, ...adopting.steps.saved].toSorted((a, b) => a - b),
        all,
      ),
      'The other process left steps out.',
    ],
    [adopting.result?.results === whole.result?.results, 'The steps gave other results.'],
    [adopting.result?.site === whole.result?.site, 'The sites differ.'],
    [isSame(anew.steps.saved, all), 'The process that started over did not run every step.'],
    [anew.result?.results === whole.result?.results, 'Starting over gave other results.'],
    [whole.result !== undefined, 'There is no result.'],
  ];
  return checks.filter(([holds]) => !holds).map(([, fault]) => fault);
}

const isSame = (some: readonly number[], others: readonly number[]): boolean => some.join() === others.join();
