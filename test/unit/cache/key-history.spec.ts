import { describe, expect, it } from '@jest/globals';
import { KeyHistory } from '../../../lib/cache/key-history.js';

const STORED = { birth: 3, tags: [], expiresAt: 1_000 };

describe('the history of a key', () => {
  it('is what happened since it stored last', () => {
    const recent = new KeyHistory();
    recent.refused('k', 'strategy', 'no');
    recent.named({ kind: 'key', lane: 'docs', subject: 'k', position: 2 });
    recent.stored('k', STORED);
    recent.evicted('k', 'l1', 'entries');
    recent.evicted('other', 'l3', 'bytes');
    recent.evicted('k', 'l2', 'bytes');
    recent.named({ kind: 'expire', lane: 'docs', subject: 'k', position: 5 });
    expect(recent.of('k')).toEqual({
      stored: STORED,
      evictedFrom: { l1: 'entries', l2: 'bytes' },
      named: { kind: 'expire', subject: 'k', position: 5 },
    });
  });

  it('is kept by a refusal for want of room on the disk, and ended by every other refusal', () => {
    const recent = new KeyHistory();
    recent.stored('k', STORED);
    recent.refused('k', 'disk-full', 'full');
    expect(recent.of('k')).toMatchObject({ stored: STORED, refusal: { reason: 'disk-full' } });
    recent.refused('k', 'too-large', 'large');
    expect(recent.of('k')).toEqual({ evictedFrom: {}, refusal: { reason: 'too-large', detail: 'large' } });
  });

  it('drops the oldest first, and stays in order after any number of wrap-arounds', () => {
    const recent = new KeyHistory();
    for (let at = 0; at < 10_000; at++) {
      recent.evicted('again', at % 2 === 0 ? 'l1' : 'l2', String(at));
      recent.stored(`key:${at}`, STORED);
    }
    expect(recent.of('again')?.evictedFrom).toEqual({ l1: '9998', l2: '9999' });
    expect(recent.of('key:9999')).toEqual({ stored: STORED, evictedFrom: {} });
    expect(recent.of('key:8000')).toEqual({ stored: STORED, evictedFrom: {} });
    expect(recent.of('key:7000')).toBeUndefined();
    expect(recent.of('never')).toBeUndefined();
  });
});
