import type { Answer } from './conversation.js';
import { OPERATIONS, type Operations } from './operations.js';

/** The app's operations as other processes may ask for them. */
export function operationAnswers(operations: Operations): readonly (readonly [string, Answer])[] {
  return OPERATIONS.map((name) => [name, (args) => ask(operations, name, args)] satisfies [string, Answer]);
}

function ask(
  operations: Operations,
  name: keyof Operations,
  args: readonly unknown[],
): Promise<unknown> | AsyncIterable<unknown> {
  const answer: unknown = Reflect.apply(operations[name], operations, args);
  return isParts(answer) ? answer : Promise.resolve(answer);
}

function isParts(answer: unknown): answer is AsyncIterable<unknown> {
  return typeof answer === 'object' && answer !== null && Symbol.asyncIterator in answer;
}
