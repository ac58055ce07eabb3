// Holds the English of the pages and docstrings to a few rules: words that have a plainer one, and sentences that are
// too long to be read once. Prints each place, and exits with 1 when there is one. Code is left alone.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { TextlintKernel } from '@textlint/kernel';
import markdown from '@textlint/textlint-plugin-markdown';
import sentenceLength from 'textlint-rule-sentence-length';

/** What to look for, and what to write instead. */
const WORDS = [
  [/\bwho(so)?ever\b/i, 'the caller, the process, or who does it'],
  [/\bin order to\b/i, 'to'],
  [/\b(simply|obviously|of course|needless to say)\b/i, 'nothing'],
  [/\b(told|tells)\b/i, 'says, shows, or passes'],
  [/\b(lands|landed)\b/i, 'is stored, or arrives'],
  [/\bborn\b/i, 'starts, or is created'],
  [/\b(he|she|his|hers?|him(self)?)\b/i, 'it, they, or the subject again'],
  [/\b(utili[sz]e|leverage)\b/i, 'use'],
  [/\bprior to\b/i, 'before'],
  [/\b(is|are) able to\b/i, 'can'],
  [/\bdue to the fact that\b/i, 'because'],
];
/** Lines of the decisions that quote tests. */
const TITLES_OF_TESTS = /^Held by \[.*$/gm;
/** In characters; about 40 words. */
const LONGEST_SENTENCE = 240;

const FILES = ['*.md', 'docs/*.md', 'bench/*.md', 'sample/*/README.md', 'lib/**/*.ts', 'schematics/**/*.ts'];

/** A rule of textlint: reports each of the words above. Code, links' addresses and tables' bars are no `Str`. */
const words = ({ Syntax, RuleError, getSource, report }) => ({
  [Syntax.Str](node) {
    for (const [pattern, instead] of WORDS)
      for (const { 0: found, index } of getSource(node).matchAll(new RegExp(pattern, 'gi')))
        report(node, new RuleError(`"${found}": write ${instead}`, { index }));
  },
});

/** The docstrings of a file as Markdown, each line where it was. */
function docstringsOf(source) {
  let isInside = false;
  const lines = source.split('\n').map((line) => {
    if (/^\s*\/\*\*/.test(line)) isInside = true;
    const text = isInside ? line.replace(/^\s*(\/\*\*|\*\/|\*)? ?|\*\/\s*$/g, '') : '';
    if (line.includes('*/')) isInside = false;
    // a tag is a paragraph of its own
    return text.replace(/^@\w+ ?/, '');
  });
  return lines.join('\n');
}

const kernel = new TextlintKernel();
const options = {
  ext: '.md',
  plugins: [{ pluginId: 'markdown', plugin: markdown.default ?? markdown }],
  rules: [
    { ruleId: 'words', rule: words },
    { ruleId: 'sentence-length', rule: sentenceLength.default ?? sentenceLength, options: { max: LONGEST_SENTENCE } },
  ],
};

const files = execFileSync('git', ['ls-files', ...FILES.map((glob) => `:(glob)${glob}`)], { encoding: 'utf8' });
let count = 0;
for (const file of files.trim().split('\n')) {
  const source = readFileSync(file, 'utf8');
  const text = file.endsWith('.ts') ? docstringsOf(source) : source.replaceAll(TITLES_OF_TESTS, '');
  const { messages } = await kernel.lintText(text, options);
  for (const { line, message } of messages) console.log(`${file}:${line}: ${message.split('\n')[0]}`);
  count += messages.length;
}
if (count > 0) process.exitCode = 1;
console.log(count === 0 ? 'The prose keeps the rules.' : `${count} places.`);
