// Holds the subjects of commits to Conventional Commits, at most 72 characters, since a given commit, the last tag, or
// the commit at which this check begins. Usage: node scripts/check-commits.mjs [BASE]
import { execFileSync } from 'node:child_process';

/** Older commits follow no convention. */
const FIRST = 'e8f6d1d';
const SUBJECT = /^(feat|fix|perf|refactor|test|docs|build|ci|chore|revert|style)(\([a-z0-9-]+\))?!?: \S.*$/;
const LONGEST = 72;

const git = (...args) => execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();

function lastTag() {
  try {
    return git('describe', '--tags', '--abbrev=0');
  } catch {
    return undefined;
  }
}

function isCommit(name) {
  try {
    git('rev-parse', '--verify', '--quiet', `${name}^{commit}`);
    return true;
  } catch {
    return false;
  }
}

const base = [process.argv[2], lastTag(), FIRST].find((name) => name !== undefined && isCommit(name));
// a shallow clone has neither a tag nor the first commit: then all its commits are checked
const range = base === undefined ? ['HEAD'] : [`${base}..HEAD`];
const lines = git('log', '--no-merges', '--format=%h %s', ...range)
  .split('\n')
  .filter(Boolean);
const wrong = lines.flatMap((line) => {
  const [commit, ...words] = line.split(' ');
  const subject = words.join(' ');
  if (!SUBJECT.test(subject)) return [`${commit} is no 'type(scope): subject': ${subject}`];
  return subject.length > LONGEST
    ? [`${commit} has ${subject.length} characters, more than ${LONGEST}: ${subject}`]
    : [];
});
for (const line of wrong) console.error(line);
if (wrong.length > 0) process.exitCode = 1;
else console.log(`${lines.length} commit subjects follow Conventional Commits.`);
