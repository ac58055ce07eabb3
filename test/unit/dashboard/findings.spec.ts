import { describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { titleOf } from '../../../dashboard/src/words.js';

const SOURCES = ['lib/operations', 'lib/storage/directory', 'lib/cli'];

/** The codes in the sources that make findings. */
function codes(): readonly string[] {
  const files = SOURCES.flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)));
  const texts = files.map((file) => readFileSync(file, 'utf8')).filter((text) => text.includes('Finding'));
  const found = texts.flatMap((text) => [...text.matchAll(/code(?:: | = [^;]*)'([A-Z_]+)'/g)]);
  return [...new Set(found.map(([, code = '']) => code)), 'NO_HITS'].toSorted();
}

describe('each finding of doctor', () => {
  const documented = readFileSync('docs/troubleshooting.md', 'utf8');

  it('is described on the page for troubleshooting', () => {
    expect(codes().length).toBeGreaterThan(20);
    expect(codes().filter((code) => !documented.includes(`\`${code}\``))).toEqual([]);
  });

  it('has a title on the dashboard', () => {
    expect(codes().filter((code) => titleOf(code) === code.toLowerCase().replaceAll('_', ' '))).toEqual([]);
  });
});
