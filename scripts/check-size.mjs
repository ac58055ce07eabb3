// Fails when the packed package is larger than allowed, or a module of it is not plain ASCII: V8 keeps, and scans, the text of
// such a module with two bytes for each character. Run after `npm run build`.
import { execFileSync } from 'node:child_process';
import { isAscii } from 'node:buffer';
import { readFileSync } from 'node:fs';

const MOST_BYTES = 500_000;

const printed = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { encoding: 'utf8' });
const [{ size, files }] = JSON.parse(printed);
console.log(
  `package: ${(size / 1_000).toFixed(0)} KB packed in ${files.length} files, at most ${MOST_BYTES / 1_000} KB`,
);
if (size > MOST_BYTES) {
  const largest = files.toSorted((a, b) => b.size - a.size).slice(0, 10);
  for (const file of largest) console.error(`${(file.size / 1_000).toFixed(0).padStart(6)} KB  ${file.path}`);
  process.exitCode = 1;
}

const wide = files.filter(({ path }) => path.endsWith('.js') && !isAscii(readFileSync(path)));
if (wide.length > 0) {
  console.error(`not plain ASCII: ${wide.map(({ path }) => path).join(', ')}`);
  process.exitCode = 1;
}
