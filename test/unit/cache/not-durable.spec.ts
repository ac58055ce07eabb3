import { describe, expect, it } from '@jest/globals';
import { LaneApp } from '../../support/lane-app.js';

function appWithoutNotes(): LaneApp {
  return new LaneApp({
    persistence: {
      directory: '/data/cache',
      isEmpty: () => false,
      invalidateAll: () => Promise.resolve(),
      noteMissed: () => Promise.reject(new Error('the disk is read-only')),
    },
  });
}

describe('an invalidation of which the next owner of the directory cannot be informed', () => {
  it.each([
    ['a key', (app: LaneApp) => app.manager('standard').invalidate('a')],
    ['a tag', (app: LaneApp) => app.manager('standard').invalidateByTag('t')],
    ['a pattern', (app: LaneApp) => app.manager('standard').invalidateByPattern('a*')],
    ['everything', (app: LaneApp) => app.manager('standard').clearAll()],
    ['the ttl of a key', (app: LaneApp) => app.manager('standard').expire('a')],
  ])('holds in this process, and rejects: %s', async (_what, invalidate) => {
    const app = appWithoutNotes();
    await app.manager('standard').getOrSet('a', async () => 1, { tags: ['t'] });
    await expect(invalidate(app)).rejects.toMatchObject({ code: 'INVALIDATION_NOT_DURABLE' });
    expect(await app.manager('standard').get('a')).toBeUndefined();
  });
});
