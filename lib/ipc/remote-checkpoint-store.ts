import { CLOSED, isClosed } from '../checkpoints/checkpoint-store.js';
import type {
  CheckpointDraft,
  CheckpointStore,
  CheckpointStoreState,
  SaveConditions,
  SaveOutcome,
} from '../checkpoints/checkpoint-store.js';
import type { LeaseAnswer, LeaseRequest } from '../checkpoints/leases.js';
import { type Clock, randomId, DeadlineError, withDeadline } from '../clock/clock.js';
import { StorageFault } from '../storage/environment.js';
import { ConnectionLost, OwnerSilent, type IpcConnection, OwnerClient, type OwnerClientOptions } from './client.js';
import type { Answer } from './server.js';

interface RemoteCheckpointStoreOptions extends OwnerClientOptions {
  readonly clock: Clock;
}

/** More than the owner gives its disk, so that its own answer arrives first. */
const BEYOND_DEADLINE_MS = 1_000;

/**
 * The checkpoint store of another process, which owns the directory.
 *
 * A call whose owner went away is made once more: of the next owner, or of this process's own store when it has become
 * the owner. A save carries a token that is stored with it, so one that had been stored, and whose answer was lost, is
 * found again and not stored twice. Other calls may be carried out twice, which changes nothing but what they count.
 */
export class RemoteCheckpointStore implements CheckpointStore {
  private current: CheckpointStoreState = { state: 'on' };
  private successor: CheckpointStore | undefined;
  private readonly line: OwnerClient;
  private readonly underWay = new Set<Promise<unknown>>();
  private closing: Promise<void> | undefined;

  constructor(private readonly options: RemoteCheckpointStoreOptions) {
    this.line = new OwnerClient(options);
  }

  get state(): CheckpointStoreState {
    return this.current;
  }

  /** From here on this process has a store of its own. */
  succeed(store: CheckpointStore): void {
    this.successor = store;
    this.line.hangUp();
  }

  save(draft: CheckpointDraft, state: Uint8Array, conditions?: SaveConditions): Promise<SaveOutcome> {
    return this.ask('save', [{ ...draft, token: randomId() }, state, conditions]);
  }

  lease(request: LeaseRequest): Promise<LeaseAnswer> {
    return this.ask('lease', [{ ...request, isRemote: true }]);
  }

  readonly begin = this.asked('begin');
  readonly finish = this.asked('finish');
  readonly invalidateWorkflow = this.asked('invalidateWorkflow');
  readonly read = this.asked('read');
  readonly versions = this.asked('versions');
  readonly history = this.asked('history');
  readonly list = this.asked('list');
  readonly remove = this.asked('remove');
  readonly mark = this.asked('mark');
  readonly clean = this.asked('clean');
  readonly usage = this.asked('usage');

  close(): Promise<void> {
    this.closing ??= this.shut();
    return this.closing;
  }

  private async shut(): Promise<void> {
    this.current = CLOSED;
    await Promise.allSettled(this.underWay);
    this.line.hangUp();
  }

  /** The call of that name, which goes to the owner as it is. */
  private asked<C extends CheckpointCall>(call: C): CheckpointStore[C] {
    const remotely = (...args: readonly unknown[]): Promise<unknown> => this.ask(call, args);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the owner's method of that name answers
    return remotely as CheckpointStore[C];
  }

  private ask<T>(call: CheckpointCall, args: readonly unknown[]): Promise<T> {
    if (this.closing !== undefined) return Promise.reject(new StorageFault('closed', 'the checkpoints are closed'));
    const answer = this.twice<T>(call, args);
    const settled = answer.then(
      () => undefined,
      () => undefined,
    );
    this.underWay.add(settled);
    void settled.then(() => this.underWay.delete(settled));
    return answer;
  }

  private async twice<T>(call: CheckpointCall, args: readonly unknown[]): Promise<T> {
    try {
      return await this.once<T>(call, args);
    } catch (error) {
      if (!isOwnerGone(error)) throw error;
    }
    try {
      return await this.once<T>(call, args);
    } catch (error) {
      throw error instanceof ConnectionLost
        ? new StorageFault('gone', 'the owner of the directory went away', error)
        : error;
    }
  }

  private async once<T>(call: CheckpointCall, args: readonly unknown[]): Promise<T> {
    const connection = await this.line.connected(() => this.successor !== undefined);
    if (connection === undefined) return this.locally<T>(call, args);
    const { clock, deadlineMs } = this.options;
    const answer = connection.call<T>(callName(call), ...args);
    try {
      const given = await withDeadline(clock, answer, deadlineMs + BEYOND_DEADLINE_MS, 'the owner of the directory');
      if (call === 'usage') await this.learnState(connection);
      return given;
    } catch (error) {
      if (!(error instanceof DeadlineError)) throw error;
      throw new StorageFault('deadline', `process ${connection.ownerPid}, which owns the directory, is silent`, error);
    }
  }

  private async locally<T>(call: CheckpointCall, args: readonly unknown[]): Promise<T> {
    const store = this.successor;
    if (store === undefined) throw new OwnerSilent('no process owns the directory');
    const answer: unknown = await Reflect.apply(store[call], store, args);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the very method that was called
    return answer as T;
  }

  private async learnState(connection: IpcConnection): Promise<void> {
    const state = await connection.call<CheckpointStoreState>(callName('state'));
    if (this.closing === undefined && !isClosed(state)) this.current = state;
  }
}

/** Whether the owner is gone or closing, so that the call can go to the next owner. */
function isOwnerGone(error: unknown): boolean {
  return error instanceof ConnectionLost || (error instanceof StorageFault && error.kind === 'closed');
}

/** What other processes may ask of the owner's checkpoint store. */
const CALLS = [
  'save',
  'begin',
  'read',
  'versions',
  'history',
  'list',
  'remove',
  'mark',
  'clean',
  'usage',
  'finish',
  'invalidateWorkflow',
  'lease',
] as const;

type CheckpointCall = (typeof CALLS)[number];

export const callName = (call: CheckpointCall | 'state'): string => `checkpoints.${call}`;

/** `store` is asked anew at each call. */
export function checkpointAnswers(store: () => CheckpointStore): readonly (readonly [string, Answer])[] {
  return [
    [callName('state'), async () => store().state],
    ...CALLS.map(
      (call) => [callName(call), (args, caller) => ask(store(), call, args, caller)] satisfies [string, Answer],
    ),
  ];
}

async function ask(
  store: CheckpointStore,
  call: CheckpointCall,
  args: readonly unknown[],
  caller: object,
): Promise<unknown> {
  const [draft, state, conditions] = args;
  const asked = call === 'save' ? [draft, state, conditions, caller] : args;
  const answer: unknown = Reflect.apply(store[call], store, asked);
  return answer;
}
