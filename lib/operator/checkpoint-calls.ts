import type { CheckpointStore } from '../checkpoints/checkpoint-store.js';
import type { Answer } from './conversation.js';

/** What other processes may ask of the owner's checkpoint store. */
const CALLS = ['save', 'read', 'versions', 'history', 'list', 'remove', 'mark', 'clean', 'usage'] as const;

export type CheckpointCall = (typeof CALLS)[number];

export const callName = (call: CheckpointCall | 'state'): string => `checkpoints.${call}`;

/** `store` is asked anew at each call. */
export function checkpointAnswers(store: () => CheckpointStore): readonly (readonly [string, Answer])[] {
  return [
    [callName('state'), async () => store().state],
    ...CALLS.map((call) => [callName(call), (args) => ask(store(), call, args)] satisfies [string, Answer]),
  ];
}

async function ask(store: CheckpointStore, call: CheckpointCall, args: readonly unknown[]): Promise<unknown> {
  const answer: unknown = Reflect.apply(store[call], store, args);
  return answer;
}
