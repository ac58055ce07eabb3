import { describe, expect, it } from '@jest/globals';
import { EventBus } from '../../../lib/events/event-bus.js';
import {
  fullDetail,
  logEvents,
  reportListener,
  type LogDetail,
  type LogTarget,
} from '../../../lib/events/event-log.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';

class Lines implements LogTarget {
  readonly written: string[] = [];
  readonly log = (text: string): unknown => this.written.push(`log ${text}`);
  readonly warn = (text: string): unknown => this.written.push(`warn ${text}`);
  readonly error = (text: string): unknown => this.written.push(`error ${text}`);
  readonly debug = (text: string): unknown => this.written.push(`debug ${text}`);
}

const setUp = (detail?: LogDetail) => {
  const lines = new Lines();
  const bus = new EventBus(new FakeClock(), reportListener(lines));
  const stop = logEvents(bus, lines, detail);
  return { bus, lines: lines.written, stop };
};

const CLEANUP = { removed: 3, bytes: 99, pinnedKept: 1, newestOfId: 0 };
const SWEEP = { expired: 0, evicted: 0, orphanedSessions: 0, quarantinesRemoved: 0, freedBytes: 0, durationMs: 3 };

describe('the log for operators', () => {
  it('shows a tier that fails and recovers, and what to do about it', () => {
    const { bus, lines } = setUp();
    const error = new Error('ENOSPC');
    bus.emit('tier', { tier: 'l3', state: 'off', reason: 'disk-full', detail: '12 MB free', error });
    bus.emit('tier', { tier: 'l3', state: 'on', detail: 'space is back' });
    expect(lines).toEqual([
      "warn Tier l3 is off (disk-full). 12 MB free. ENOSPC. The app goes on without it: values are computed more often. Free some space on the volume, or lower 'storage.minFreeBytes'.",
      'log Tier l3 is on. Space is back.',
    ]);
  });

  it('does not repeat an error that the detail has', () => {
    const { bus, lines } = setUp();
    const error = new Error('connect ECONNREFUSED');
    bus.emit('tier', {
      tier: 'l4',
      state: 'off',
      reason: 'disconnected',
      detail: `No answer: ${error.message}`,
      error,
    });
    expect(lines).toEqual([
      expect.stringMatching(/^warn Tier l4 is off \(disconnected\)\. No answer: connect ECONNREFUSED\. The app/),
    ]);
  });

  it('is no tier that comes on and was not off', () => {
    const { bus, lines } = setUp();
    bus.emit('tier', { tier: 'l3', state: 'on', detail: 'its entries come from process 7' });
    bus.emit('tier', { tier: 'l3', state: 'on', detail: 'its entries come from process 8' });
    expect(lines).toEqual([expect.stringMatching(/^debug .*process 7/), expect.stringMatching(/^debug .*process 8/)]);
  });

  it('is a tier that is on, and of which part does not work', () => {
    const { bus, lines } = setUp();
    bus.emit('tier', { tier: 'checkpoints', state: 'on', detail: 'nobody can ask', error: new Error('EACCES') });
    expect(lines).toEqual([expect.stringMatching(/^warn Checkpoints are on\. Nobody can ask\. EACCES\.$/)]);
  });

  it('is no tier that was closed in good order', () => {
    const { bus, lines } = setUp();
    bus.emit('tier', { tier: 'l2', state: 'off', reason: 'closed', detail: '' });
    bus.emit('tier', { tier: 'checkpoints', state: 'off', reason: 'closed', detail: 'Closed.' });
    bus.emit('tier', { tier: 'l4', state: 'off', reason: 'policy', detail: '' });
    expect(lines).toEqual(['debug Tier l2 is closed.', 'debug Checkpoints are closed.', 'debug Tier l4 is not used.']);
  });

  it('is a directory that belongs to another process, and its quarantine', () => {
    const { bus, lines } = setUp();
    bus.emit('owner', { directory: '/c', state: 'owned' });
    bus.emit('owner', { directory: '/c', state: 'waiting', ownerPid: 7 });
    bus.emit('owner', { directory: '/c', state: 'refused', ownerPid: 7 });
    bus.emit('host', { directory: '/c', state: 'on' });
    bus.emit('host', { directory: '/c', state: 'lost' });
    bus.emit('host', { directory: '/c', state: 'off', error: new Error('EMFILE') });
    bus.emit('quarantine', { directory: '/c/l3', movedTo: '/c/l3.bad', cause: 'l3: it is short' });
    bus.emit('quarantine', { directory: '/c/cp', movedTo: '/c/cp.bad', cause: 'checkpoints: it is short' });
    expect(lines).toEqual([
      "debug This process owns the cache directory '/c'.",
      "log The cache directory '/c' belongs to process 7. This process shares it: invalidations, entries and checkpoints. It takes over when that one ends.",
      "warn The cache directory '/c' was removed, and process 7 has made it anew. This process goes on without its persistent tier and checkpoints until that one has ended.",
      "debug The processes that use the cache directory '/c' share their invalidations.",
      "warn The log of the cache directory '/c' was removed, damaged or given up on a full disk. Everything that was cached before was dropped.",
      "warn The log of the cache directory '/c' cannot be used. The processes that use it do not get each other's invalidations. This one serves nothing that it had cached before. It tries again by itself. EMFILE.",
      "warn The cache directory '/c/l3' was damaged. L3: it is short. It was moved to '/c/l3.bad' and a fresh one started. Entries are computed again. Check the disk if this repeats.",
      "warn The cache directory '/c/cp' was damaged. Checkpoints: it is short. It was moved to '/c/cp.bad' and a fresh one started. Checkpoints that lay there are not restored any more, and are never deleted by the library. Check the disk if this repeats.",
    ]);
  });

  it('is a damaged checkpoint, not a saved one', () => {
    const { bus, lines } = setUp();
    bus.emit('checkpoint', { action: 'saved', id: 'w', version: 1 });
    bus.emit('checkpoint', { action: 'damaged', id: 'w', version: 2 });
    expect(lines).toEqual([
      'debug Version 1 of checkpoint "w" was saved.',
      expect.stringMatching(/^warn Version 2 of checkpoint "w" is damaged .*fallback: true/),
    ]);
  });

  it('is the first value that a lane cannot store, per reason', () => {
    const { bus, lines } = setUp();
    const refuse = (lane: string, key: string, reason: 'unstorable' | 'too-large' | 'fenced'): void =>
      bus.emit('refuse', { lane, key, reason, detail: 'a function at .callback' });
    refuse('docs', 'first\n', 'unstorable');
    refuse('docs', 'second', 'unstorable');
    refuse('docs', 'large', 'too-large');
    refuse('docs', 'fenced', 'fenced');
    refuse('heavy', 'first', 'unstorable');
    expect(lines).toHaveLength(3);
    expect(lines[0]).toBe(
      `warn Lane 'docs' cannot store the value of "first\\n" (unstorable). A function at .callback. It is computed at every call. Return plain data, list the class under 'types', or call ctx.skipCache(). Further keys of this lane are only counted.`,
    );
    expect(lines[1]).toContain('maxEntryBytes');
    expect(lines[2]).toContain("Lane 'heavy'");
  });

  it('is housekeeping that did something', () => {
    const { bus, lines } = setUp();
    bus.emit('sweep', SWEEP);
    bus.emit('sweep', { ...SWEEP, expired: 2, orphanedSessions: 1, freedBytes: 10 });
    bus.emit('cleanup', CLEANUP);
    bus.emit('cleanup', { ...CLEANUP, removed: 1, pinnedKept: 0, newestOfId: 1 });
    bus.emit('cleanup', { ...CLEANUP, removed: 0, bytes: 0 });
    expect(lines).toEqual([
      expect.stringMatching(/^debug Swept/),
      'log Swept: 2 expired and 0 evicted, 1 leftover folder removed, 10 B freed in 3 ms.',
      'log Checkpoint cleanup removed 3 versions (99 B); kept as pinned: 1.',
      'log Checkpoint cleanup removed 1 version (99 B); with the newest of 1 id, which cannot be restored any more.',
      'debug Checkpoint cleanup removed 0 versions (0 B); kept as pinned: 1.',
    ]);
  });

  it('ends when it is stopped', () => {
    const { bus, lines, stop } = setUp('everything');
    stop();
    bus.emit('cleanup', CLEANUP);
    expect(lines).toEqual([]);
    expect(bus.wants('hit')).toBe(false);
    expect(bus.wants('tier')).toBe(false);
  });
});

describe('events of single keys', () => {
  it('are not listened to unless everything is wanted', () => {
    const { bus } = setUp();
    for (const name of ['hit', 'miss', 'store', 'compute', 'bypass', 'evict', 'stale'] as const) {
      expect(bus.wants(name)).toBe(false);
    }
  });

  it('are written at debug, keys escaped and cut', () => {
    const { bus, lines } = setUp('everything');
    bus.emit('hit', { lane: 'docs', key: `a\n${'b'.repeat(500)}`, tier: 'l1' });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^debug hit lane="docs" key="a\\nb{118}…" tier="l1"$/);
    bus.emit('hit', { lane: 'docs', key: '\u009b31m\u202e', tier: 'l1' });
    expect(lines[1]).toBe('debug hit lane="docs" key="\\u009b31m\\u202e" tier="l1"');
  });

  it('are listened to if the app wants them, unless its logger says that it drops them', () => {
    const says = (isEnabled: boolean) => Object.assign(new Lines(), { isLevelEnabled: () => isEnabled });
    const targets = [new Lines(), says(true), says(false)];
    expect(targets.map(fullDetail)).toEqual(['everything', 'everything', 'notable']);
  });
});

describe('a listener that fails', () => {
  it('is named in the log', () => {
    const { bus, lines } = setUp();
    bus.on('store', () => {
      throw new Error('oops');
    });
    bus.emit('store', { lane: 'docs', key: 'k', sizeBytes: 1 });
    expect(lines).toEqual([
      "error A listener of the event 'store' failed and was dropped; events go on without it. oops",
    ]);
  });
});
