// Writes docs/errors.md from the comments of the error codes. With --check it only compares.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';

const SOURCE = new URL('../lib/errors/lane-cache.error.ts', import.meta.url);
const PAGE = new URL('../docs/errors.md', import.meta.url);
const CODE = /\/\*\*((?:(?!\*\/)[^])*)\*\/\s*\| '([A-Z_]+)'/g;

const textOf = (comment) =>
  comment
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, '').trim())
    .join(' ')
    .replace(/\s+/g, ' ')
    .trim();

const codes = [...readFileSync(SOURCE, 'utf8').matchAll(CODE)].map(([, comment, code]) => {
  const [cause, remedy] = textOf(comment).split(' Remedy: ');
  return { code, cause, remedy };
});

const text = `# Errors

After this page you can tell each error of the library by its code, and know what to do about it.

Every error that the library throws is a \`LaneCacheError\`. Its \`code\` is stable; its text may change. \`lane\`, \`key\` and
\`field\` say what it concerns, where that is known. Errors that your own functions throw pass through unchanged.

Trouble of the cache itself, such as a full disk or a Redis server that does not answer, is no error of a call: the value is
computed. It shows as an event, a log line and a number ([operating](operating.md)).

\`\`\`ts run
import { isLaneCacheError } from 'nestjs-lane-cache';

try {
  await cache.getOrSet('report', () => new Promise(() => undefined), { hardTimeout: '50ms' });
} catch (error) {
  console.log(isLaneCacheError(error, 'COMPUTE_TIMEOUT')); // true
}
\`\`\`

| code | cause | remedy |
| --- | --- | --- |
${codes.map(({ code, cause, remedy }) => `| \`${code}\` | ${cause} | ${remedy} |`).join('\n')}
`;

const page = await format(text, { ...(await resolveConfig(fileURLToPath(PAGE))), parser: 'markdown' });
if (!process.argv.includes('--check')) writeFileSync(PAGE, page);
else if (readFileSync(PAGE, 'utf8') !== page) {
  console.error('docs/errors.md is not what the code says. Run: node scripts/errors-page.mjs');
  process.exitCode = 1;
}
