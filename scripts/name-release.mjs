// Gives the "Unreleased" part of CHANGELOG.md the version as its heading. Run by `npm run release:version`, after Changesets
// has raised the version.
import { readFileSync, writeFileSync } from 'node:fs';

const CHANGELOG = new URL('../CHANGELOG.md', import.meta.url);
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
const text = readFileSync(CHANGELOG, 'utf8');
const heading = '## Unreleased\n';

if (!text.includes(heading)) throw new Error('CHANGELOG.md has no part "Unreleased".');
if (text.includes(`## ${version}\n`)) throw new Error(`CHANGELOG.md has version ${version} already.`);
writeFileSync(CHANGELOG, text.replace(heading, `${heading}\n## ${version}\n`));
