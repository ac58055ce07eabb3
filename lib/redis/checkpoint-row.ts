import { createHash } from 'node:crypto';
import type { CheckpointDraft, CheckpointRecord } from '../checkpoints/checkpoint-store.js';
import { listOf, numberOf, textOf } from './replies.js';

/** A version as the scripts give it; `record` is undefined when it cannot be read. */
export interface CheckpointRow {
  readonly version: number;
  readonly record: CheckpointRecord | undefined;
}

/** Ids may hold anything; names hold their hash, and the id itself lies in the draft. */
export function idHash(id: string): string {
  return createHash('sha256').update(id, 'utf16le').digest('hex');
}

/** Labels in names of keys, as bytes that are the same for the same text. */
export function labelHash(label: string | undefined): string {
  return label === undefined ? '' : idHash(label).slice(0, 32);
}

export function rowOf(reply: unknown): CheckpointRow {
  const [version, draft, sequence, pinned, damaged] = listOf(reply);
  const read = draft === undefined || draft === null ? undefined : draftOf(textOf(draft));
  if (read === undefined) return { version: numberOf(version), record: undefined };
  const marks = { pinned: textOf(pinned) === '1', damaged: textOf(damaged) === '1' };
  return {
    version: numberOf(version),
    record: { ...read, version: numberOf(version), sequence: numberOf(sequence), ...marks },
  };
}

/** JSON keeps lone surrogates, as escapes. */
function draftOf(text: string): CheckpointDraft | undefined {
  try {
    const draft: CheckpointDraft = JSON.parse(text);
    return typeof draft === 'object' && typeof draft.id === 'string' ? draft : undefined;
  } catch {
    return undefined;
  }
}
