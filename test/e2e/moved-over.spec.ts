import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Workshop } from '../support/child-process.js';

const SAMPLE = 'sample/04-migrate-from-cache-manager';
/** Files of the migrated app that name the package. */
const MOVED = ['app.module', 'prices.service'].map((name) => `${SAMPLE}/after/${name}.ts`);

describe('an app that moved over from @nestjs/cache-manager', () => {
  let workshop: Workshop;

  beforeAll(async () => {
    const toLibrary = (source: string): string => source.replaceAll("'nestjs-lane-cache'", "'../../../lib/index.js'");
    workshop = await Workshop.build(['lib', SAMPLE], new Map(MOVED.map((path) => [path, toLibrary])));
  });

  afterAll(() => workshop.dispose());

  it('passes the tests that it had before, unchanged', async () => {
    const child = await workshop.run(`import './${SAMPLE}/prices.test.js';`);
    const { status } = await child.end();
    expect([status, child.errors]).toEqual([0, '']);
    expect(child.output).toMatch(/# Subtest: prices, before[^]*# Subtest: prices, after/);
    expect(child.output).toMatch(/^# pass 8$/m);
  });
});
