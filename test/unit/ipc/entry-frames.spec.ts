import { describe, expect, it } from '@jest/globals';
import {
  decodeFound,
  decodeHead,
  decodeNames,
  decodeOffer,
  encodeFound,
  encodeNames,
  encodeOffer,
  type FoundEntry,
  type FrameHead,
  isEntryFrame,
} from '../../../lib/ipc/entry-frames.js';

const server = { generation: 'cd'.repeat(16), sequence: 7 };
const head: FrameHead = { kind: 'read', id: 7, generation: 'ab'.repeat(16), position: 2 ** 40, time: 1.5, server };

describe('a frame of entries', () => {
  it('keeps its head and every key, lone surrogates included', () => {
    const entries = [
      { lane: 'standard', key: 'a' },
      { lane: 'docs', key: '\ud800 ü 漢' },
      { lane: 'docs', key: '' },
    ];
    const frame = encodeNames(head, entries);
    expect(isEntryFrame(frame)).toBe(true);
    expect(decodeHead(frame)).toEqual(head);
    const withoutServer = { ...head, server: undefined };
    expect(decodeHead(encodeNames(withoutServer, entries))).toEqual(withoutServer);
    expect(decodeNames(frame)).toEqual(entries);
  });

  it('keeps what was found, in its order', () => {
    const bytes = Buffer.from('record');
    const hit = { outcome: 'hit', expiresAt: 12.5, bytes } as const;
    const found = [{ outcome: 'miss' }, hit, { outcome: 'off' }, { outcome: 'unreadable' }] as const;
    expect(decodeFound(encodeFound({ ...head, kind: 'found' }, found))).toEqual(found);
  });

  it('holds entries of 64 MB in all, or a single larger one: the others are off', () => {
    const hitOf = (megabytes: number): FoundEntry => {
      return { outcome: 'hit', expiresAt: 1, bytes: Buffer.alloc(megabytes * 1024 ** 2) };
    };
    const outcomes = (sizes: readonly number[]): readonly string[] =>
      decodeFound(encodeFound({ ...head, kind: 'found' }, sizes.map(hitOf))).map(({ outcome }) => outcome);
    expect(outcomes([40, 40, 1])).toEqual(['hit', 'off', 'hit']);
    expect(outcomes([65, 1])).toEqual(['hit', 'off']);
    expect(outcomes([1, 63])).toEqual(['hit', 'hit']);
  });

  it('keeps an offer', () => {
    const record = Buffer.from('record');
    expect(decodeOffer(encodeOffer({ ...head, kind: 'offer' }, 'docs', record))).toEqual({
      lane: 'docs',
      turn: '',
      record,
    });
    const inTurn = encodeOffer({ ...head, kind: 'offer' }, 'docs', record, 'token');
    expect(decodeOffer(inTurn)).toEqual({ lane: 'docs', turn: 'token', record });
  });

  it('is refused when it is cut anywhere, or of an unknown kind', () => {
    const frame = encodeNames(head, [{ lane: 'standard', key: 'a' }]);
    for (let length = 2; length < frame.length; length++) {
      const cut = frame.subarray(0, length);
      if (length === 62) continue; // a head that asks for nothing
      expect(() => [decodeHead(cut), decodeNames(cut)]).toThrow(/range|bounds|too soon|head/);
    }
    const unknown = Buffer.from(frame);
    unknown[1] = 99;
    expect(() => decodeHead(unknown)).toThrow('unknown kind');
  });

  it('is refused when it announces more than it has', () => {
    const frame = encodeNames(head, [{ lane: 'standard', key: 'a' }]);
    frame.writeUInt32BE(0xffffffff, 62);
    expect(() => decodeNames(frame)).toThrow(RangeError);
    expect(() => decodeOffer(frame)).toThrow(RangeError);
  });
});
