import { describe, expect, it } from '@jest/globals';
import { Cached } from '../../../lib/decorators/cached.decorator.js';
import { setManager } from '../../../lib/decorators/method-wrapper.js';
import { FakeLaneManager } from '../../support/fake-lane-manager.js';

class Pages {
  @Cached()
  async render(...args: readonly unknown[]): Promise<string> {
    return `${this.constructor.name} rendered ${args.join()}`;
  }
}

class Drafts extends Pages {}

function managed<T extends Pages>(pages: T): { readonly pages: T; readonly manager: FakeLaneManager } {
  const manager = new FakeLaneManager();
  setManager(pages, manager.asManager);
  return { pages, manager };
}

describe('default keys of single texts', () => {
  it('stay the same, however many there are and however often they are used', async () => {
    const { pages, manager } = managed(new Pages());
    const texts = Array.from({ length: 2_500 }, (_, index) => `page:${index % 1_700}`);
    for (const text of [...texts, 'x'.repeat(200), 'x'.repeat(201)]) {
      expect(await pages.render(text)).toBe(`Pages rendered ${text}`);
    }
    expect(manager.entries.size).toBe(1_702);
  });

  it('differ from those of a subclass, of other types and of more arguments', async () => {
    const { pages, manager } = managed(new Pages());
    const drafts = new Drafts();
    setManager(drafts, manager.asManager);
    for (let round = 0; round < 2; round++) {
      expect(await pages.render('1')).toBe('Pages rendered 1');
      expect(await drafts.render('1')).toBe('Drafts rendered 1');
      await pages.render(1);
      await pages.render('1', undefined);
      await pages.render();
    }
    expect(manager.entries.size).toBe(5);
  });
});
