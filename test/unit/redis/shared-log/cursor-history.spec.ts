import { describe, expect, it } from '@jest/globals';
import { CursorHistory } from '../../../../lib/redis/shared-log/applied-records.js';

describe('the cursor at a birth', () => {
  it('is what had been followed then', () => {
    const history = new CursorHistory();
    expect(history.current).toBeUndefined();
    history.note(5, { generation: 'a', sequence: 100 });
    history.note(8, { generation: 'a', sequence: 101 });
    expect(history.at(4)).toBeUndefined();
    expect([5, 7, 8, 99].map((birth) => history.at(birth)?.sequence)).toEqual([100, 100, 101, 101]);
    expect(history.current).toEqual({ generation: 'a', sequence: 101 });
  });

  it('is not known across generations', () => {
    const history = new CursorHistory();
    history.note(5, { generation: 'a', sequence: 100 });
    history.note(9, { generation: 'b', sequence: 1 });
    expect(history.at(8)).toBeUndefined();
    expect(history.at(9)).toEqual({ generation: 'b', sequence: 1 });
  });

  it('is dropped when it lies too far back', () => {
    const history = new CursorHistory();
    for (let at = 0; at <= 16_384; at++) history.note(at, { generation: 'a', sequence: at });
    expect(history.at(0)).toBeUndefined();
    expect(history.at(16_384)?.sequence).toBe(16_384);
  });
});
