// Fails when the packed package is larger than allowed. Run after `npm run build`.
import { execFileSync } from 'node:child_process';

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
