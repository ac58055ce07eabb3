import {
  ComputeTimeoutError,
  DirectoryInUseError,
  InvalidationNotDurableError,
  UnknownLaneError,
} from '../errors/cache.errors.js';
import {
  CheckpointConflictError,
  CheckpointDamagedError,
  CheckpointTooLargeError,
} from '../errors/checkpoint.errors.js';
import { isLaneCacheError, LaneCacheError, type LaneCacheErrorCode } from '../errors/lane-cache.error.js';
import { StorageFault, type StorageFaultKind } from '../storage/environment.js';

/** An error on its way to another process. */
export type CarriedError =
  | {
      readonly kind: 'ours';
      readonly code: LaneCacheErrorCode;
      readonly message: string;
      readonly fields: Readonly<Record<string, unknown>>;
    }
  | { readonly kind: 'fault'; readonly fault: StorageFaultKind; readonly message: string }
  | { readonly kind: 'other'; readonly message: string };

const CLASSES: Readonly<Partial<Record<LaneCacheErrorCode, { readonly prototype: LaneCacheError }>>> = {
  LANE_UNKNOWN: UnknownLaneError,
  COMPUTE_TIMEOUT: ComputeTimeoutError,
  INVALIDATION_NOT_DURABLE: InvalidationNotDurableError,
  CHECKPOINT_CONFLICT: CheckpointConflictError,
  CHECKPOINT_DAMAGED: CheckpointDamagedError,
  CHECKPOINT_TOO_LARGE: CheckpointTooLargeError,
  DIRECTORY_IN_USE: DirectoryInUseError,
};

const OWN_OF_ALL = new Set(['name', 'code', 'stack', 'message', 'cause']);

export function carry(error: unknown): CarriedError {
  if (isLaneCacheError(error)) {
    const fields = Object.fromEntries(Object.entries(error).filter(([name]) => !OWN_OF_ALL.has(name)));
    return { kind: 'ours', code: error.code, message: error.message, fields };
  }
  if (error instanceof StorageFault) return { kind: 'fault', fault: error.kind, message: error.message };
  return { kind: 'other', message: error instanceof Error ? error.message : String(error) };
}

/** Whether what came from another process is an error. */
export function isCarried(error: unknown): error is CarriedError {
  if (typeof error !== 'object' || error === null) return false;
  const { kind, code, fault, fields, message }: Readonly<Record<string, unknown>> = { ...error };
  if (typeof message !== 'string') return false;
  if (kind === 'ours') return typeof code === 'string' && typeof fields === 'object' && fields !== null;
  return kind === 'fault' ? typeof fault === 'string' : kind === 'other';
}

/** The error as it was thrown there: of the same class, with the same code, text and fields. */
export function unpack(carried: CarriedError): Error {
  if (carried.kind === 'fault') return new StorageFault(carried.fault, carried.message);
  if (carried.kind === 'other') return new Error(carried.message);
  const error = new LaneCacheError(carried.code, carried.message);
  const prototype = CLASSES[carried.code]?.prototype;
  if (prototype !== undefined) {
    Object.setPrototypeOf(error, prototype);
    error.name = prototype.constructor.name;
  }
  return Object.assign(error, carried.fields);
}
