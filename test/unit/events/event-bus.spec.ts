import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { getEventListeners } from 'node:events';
import { describe, expect, it, jest } from '@jest/globals';
import { EventBus, type ListenerReport } from '../../../lib/events/event-bus.js';
import type { LaneCacheEvent } from '../../../lib/events/event-map.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';

const HIT = { lane: 'docs', key: 'k', tier: 'l1' } as const;

const setUp = () => {
  const report = jest.fn<ListenerReport>();
  const clock = new FakeClock(Date.UTC(2026, 1, 3, 4, 5, 6));
  return { report, clock, bus: new EventBus(clock, report) };
};

/** As a caller without types may call it. */
const listenUntyped = (bus: EventBus, name: string): unknown =>
  Reflect.apply(EventBus.prototype.on.bind(bus), undefined, [name, () => {}]);

describe('a listener', () => {
  it('receives each event with its time, until it unsubscribes', () => {
    const { bus } = setUp();
    const heard: LaneCacheEvent<'hit'>[] = [];
    const stop = bus.on('hit', (event) => heard.push(event));
    bus.emit('hit', HIT);
    stop();
    stop();
    bus.emit('hit', HIT);
    expect(heard).toEqual([{ ...HIT, at: '2026-02-03T04:05:06.000Z' }]);
  });

  it('makes an event wanted only while it is subscribed', () => {
    const { bus } = setUp();
    expect(bus.wants('hit')).toBe(false);
    const stop = bus.on('hit', () => {});
    expect(bus.wants('hit')).toBe(true);
    expect(bus.wants('miss')).toBe(false);
    stop();
    expect(bus.wants('hit')).toBe(false);
  });

  it('that subscribed twice receives each event twice', () => {
    const { bus } = setUp();
    const listener = jest.fn();
    bus.on('hit', listener);
    const stop = bus.on('hit', listener);
    bus.emit('hit', HIT);
    stop();
    bus.emit('hit', HIT);
    expect(listener).toHaveBeenCalledTimes(3);
  });

  it('cannot change what the next listener receives', () => {
    const { bus } = setUp();
    const heard: string[] = [];
    bus.on('hit', (event) => {
      Reflect.set(event, 'key', 'another');
    });
    bus.on('hit', (event) => heard.push(event.key));
    bus.emit('hit', HIT);
    expect(heard).toEqual(['k']);
  });

  it('may subscribe and unsubscribe during an event', () => {
    const { bus } = setUp();
    const heard: string[] = [];
    const stop = bus.on('hit', () => {
      heard.push('first');
      stop();
      bus.on('hit', () => heard.push('late'));
    });
    bus.on('hit', () => heard.push('second'));
    bus.emit('hit', HIT);
    expect(heard).toEqual(['first', 'second']);
    bus.emit('hit', HIT);
    expect(heard).toEqual(['first', 'second', 'second', 'late']);
  });

  it('needs an event that exists', () => {
    const { bus } = setUp();
    expect(() => listenUntyped(bus, 'hits')).toThrow(
      expect.objectContaining({ code: 'OPTIONS_INVALID', message: expect.stringContaining('cleanup') }),
    );
  });
});

describe('a listener that fails', () => {
  it('is reported once and dropped, and does not affect the others', () => {
    const { bus, report } = setUp();
    const error = new Error('broken listener');
    const other = jest.fn();
    bus.on('hit', () => {
      throw error;
    });
    bus.on('hit', other);
    bus.emit('hit', HIT);
    bus.emit('hit', HIT);
    expect(report.mock.calls).toEqual([['hit', error]]);
    expect(other).toHaveBeenCalledTimes(2);
  });

  it('may fail by promise, without ending the process', async () => {
    const { bus, report } = setUp();
    const error = new Error('broken later');
    const listener: (event: unknown) => unknown = () => Promise.reject(error);
    bus.on('hit', listener);
    bus.emit('hit', HIT);
    bus.emit('hit', HIT);
    await Promise.resolve();
    await Promise.resolve();
    expect(report.mock.calls).toEqual([['hit', error]]);
    expect(bus.wants('hit')).toBe(false);
  });
});

describe('once', () => {
  it('gives the next event and stops listening', async () => {
    const { bus } = setUp();
    const next = bus.once('hit');
    bus.emit('hit', HIT);
    bus.emit('hit', { ...HIT, key: 'later' });
    await expect(next).resolves.toMatchObject({ key: 'k' });
    expect(bus.wants('hit')).toBe(false);
  });

  it('ends with its signal, before or while waiting', async () => {
    const { bus } = setUp();
    const reason = new Error('no longer needed');
    await expect(bus.once('hit', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const waiting = bus.once('hit', { signal: controller.signal });
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    expect(bus.wants('hit')).toBe(false);
  });

  it('leaves nothing behind on a signal that lives longer', async () => {
    const { bus } = setUp();
    const { signal } = new AbortController();
    const next = bus.once('hit', { signal });
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    bus.emit('hit', HIT);
    await next;
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });
});

describe('diagnostics_channel', () => {
  it('carries each event under its name', () => {
    const { bus } = setUp();
    const heard: unknown[] = [];
    const listener = (message: unknown): void => void heard.push(message);
    subscribe('nestjs-lane-cache:miss', listener);
    try {
      expect(bus.wants('miss')).toBe(true);
      bus.emit('miss', { lane: 'docs', key: 'k', reason: 'expired' });
    } finally {
      unsubscribe('nestjs-lane-cache:miss', listener);
    }
    expect(heard).toEqual([{ lane: 'docs', key: 'k', reason: 'expired', at: '2026-02-03T04:05:06.000Z' }]);
    expect(bus.wants('miss')).toBe(false);
  });
});
