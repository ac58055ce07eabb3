import { expect, it } from '@jest/globals';
import { CommandFailed, EXIT, exitCodeOf } from '../../../lib/cli/exit.js';
import { DeadlineError } from '../../../lib/clock/clock.js';
import { UnknownLaneError } from '../../../lib/errors/cache.errors.js';
import { LaneCacheError, type LaneCacheErrorCode } from '../../../lib/errors/lane-cache.error.js';
import { ConnectionLost, OwnerSilent } from '../../../lib/ipc/client.js';

const coded = (code: LaneCacheErrorCode): LaneCacheError => new LaneCacheError(code, code);

it.each([
  ['what was asked for makes no sense', 2, [coded('KEY_TOO_LONG'), coded('PATTERN_INVALID'), coded('TAG_INVALID')]],
  ['the lane is unknown', 2, [new UnknownLaneError('x', [])]],
  ['the directory is none', 3, [coded('DIRECTORY_UNSUITABLE')]],
  ['nobody answers', 4, [new ConnectionLost('x'), new OwnerSilent('x'), new DeadlineError('x', 1), coded('CLOSED')]],
  ['a command says so', 6, [new CommandFailed(EXIT.notFound, 'x')]],
  ['something else went wrong', 70, [new Error('x'), 'x', coded('INVALIDATION_NOT_DURABLE')]],
])('%s ends with the exit code %p', (_what, code, errors) => {
  expect(errors.map(exitCodeOf)).toEqual(errors.map(() => code));
});
