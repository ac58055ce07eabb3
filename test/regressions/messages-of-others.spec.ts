import { describe, expect, it } from '@jest/globals';
import { Packr } from 'msgpackr';
import { ValueCodec } from '../../lib/entries/codec/value-codec.js';

// msgpackr has one buffer for all who use it in a process, such as a queue of jobs.
describe('a message that other code of the app has packed with msgpackr', () => {
  const others = new Packr();
  const large = { text: 'x'.repeat(300_000) };

  it('stays as it is while values are encoded, large and small', () => {
    const codec = new ValueCodec();
    const messages: { readonly value: unknown; readonly bytes: Uint8Array }[] = [];
    for (let round = 0; round < 50; round++) {
      if (round % 5 === 0) codec.encode(large);
      if (round % 7 === 0) others.pack({ round, ...large });
      const value = { job: round, text: 'of the app' };
      messages.push({ value, bytes: others.pack(value) });
      codec.encode({ round, small: 'value of the cache' });
      codec.encode({ round, small: 'another' });
    }
    expect(messages.map(({ bytes }) => others.unpack(bytes) as unknown)).toEqual(messages.map(({ value }) => value));
  });

  it('stays as it is between large values', () => {
    const codec = new ValueCodec();
    codec.encode(large);
    codec.encode(large);
    const value = { job: 1, text: 'of the app' };
    const bytes = others.pack(value);
    codec.encode({ ...large, more: 'y'.repeat(1_000) });
    expect(others.unpack(bytes)).toEqual(value);
  });

  it('stays as it is after a value that cannot be encoded', () => {
    const codec = new ValueCodec();
    codec.encode(large);
    const value = { job: 1, text: 'of the app' };
    codec.encode({ ...large, fails: () => 1 });
    const bytes = others.pack(value);
    codec.encode(large);
    codec.encode({ small: 'value of the cache' });
    expect(others.unpack(bytes)).toEqual(value);
  });
});
