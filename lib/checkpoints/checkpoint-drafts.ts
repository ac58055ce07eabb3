import { UnknownLaneError } from '../errors/cache.errors.js';
import { CheckpointTooLargeError } from '../errors/checkpoint.errors.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { toMilliseconds, type Duration } from '../lanes/duration.js';
import { invalid, requireCount, requireName, requireStep } from './checkpoint-input.js';
import type { CheckpointSettings } from './checkpoint-settings.js';
import type { CheckpointDraft } from './checkpoint-store.js';
import type { SaveCheckpointOptions } from './checkpoint.js';
import { checksumOf, encodeOrRefuse } from './state-codec.js';

const MAX_METADATA_BYTES = 64 * 1024;
const MAX_REMEMBERED_WARNINGS = 1_000;

/** Turns what a caller wants saved into what the store is handed, or refuses it. */
export class CheckpointDrafts {
  private readonly warned = new Set<string>();

  constructor(private readonly settings: Omit<CheckpointSettings, 'store' | 'events'>) {}

  make(
    id: string,
    state: unknown,
    wish: SaveCheckpointOptions,
  ): { readonly draft: CheckpointDraft; readonly bytes: Uint8Array } {
    const { clock, defaultLane, lanes } = this.settings;
    const { lane = defaultLane, workflow, step, metadata, expectedVersion, ttl } = wish;
    requireName(id, 'id');
    if (!lanes.includes(lane)) throw new UnknownLaneError(lane, lanes);
    if (workflow !== undefined) requireName(workflow, 'workflow');
    requireStep(step);
    if (expectedVersion !== undefined) requireCount(expectedVersion, 'expectedVersion', 0);
    const life = ttl === undefined ? undefined : requireLife(ttl, id);
    const bytes = this.encodeState(id, state);
    const savedAt = clock.now();
    const draft: CheckpointDraft = {
      id,
      lane,
      ...(workflow !== undefined && { workflow }),
      ...(step !== undefined && { step }),
      ...(metadata !== undefined && { metadata: this.encodeMetadata(id, metadata) }),
      savedAt,
      ...(life !== undefined && { expiresAt: savedAt + life }),
      sizeBytes: bytes.length,
      checksum: checksumOf(bytes),
    };
    return { draft, bytes };
  }

  private encodeState(id: string, state: unknown): Uint8Array {
    const { codec, maxStateBytes = 64 * 1024 ** 2, warnStateBytes = 1024 ** 2 } = this.settings;
    const bytes = encodeOrRefuse(codec, state, id, 'state');
    if (bytes.length > maxStateBytes) throw new CheckpointTooLargeError(id, bytes.length, maxStateBytes);
    if (bytes.length >= warnStateBytes) this.warnOnce(id, bytes.length);
    return bytes;
  }

  private warnOnce(id: string, sizeBytes: number): void {
    if (this.settings.warn === undefined || this.warned.has(id)) return;
    if (this.warned.size === MAX_REMEMBERED_WARNINGS) this.warned.clear();
    this.warned.add(id);
    this.settings.warn(
      `The state of checkpoint '${id}' takes ${sizeBytes} bytes. Each save and restore blocks the event loop while it is encoded or decoded: save references to what is large, not the thing itself.`,
    );
  }

  private encodeMetadata(id: string, metadata: unknown): string {
    if (typeof metadata !== 'object' || metadata === null) throw invalid('metadata', 'must be an object');
    const bytes = encodeOrRefuse(this.settings.codec, metadata, id, 'metadata');
    if (bytes.length > MAX_METADATA_BYTES) {
      throw invalid(
        'metadata',
        `takes ${bytes.length} bytes; ${MAX_METADATA_BYTES} is the most. Put it into the state`,
      );
    }
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
  }
}

function requireLife(ttl: Duration, id: string): number {
  const ms = toMilliseconds(ttl, { key: id });
  if (ms > 0) return ms;
  throw new LaneCacheError('TTL_INVALID', `The ttl of checkpoint '${id}' is 0: it would never be restored.`, {
    key: id,
    field: 'ttl',
  });
}
