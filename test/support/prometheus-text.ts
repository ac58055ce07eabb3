/** One line of the page: what is measured, of what, and how much. */
export interface Line {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

interface Family {
  readonly help: string | undefined;
  readonly type: string;
  readonly lines: readonly Line[];
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const COMMENT = new RegExp(`^# (HELP|TYPE) (${NAME}) (.*)$`);
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (\\S+)(?: -?\\d+)?$`);
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(?:,(?=.)|$)/gy;
const SUFFIXES: Readonly<Record<string, readonly string[]>> = { histogram: ['_bucket', '_sum', '_count'] };

/**
 * Reads a page in Prometheus' text format, version 0.0.4, and throws wherever the format is not kept: an unknown line, a
 * metric described in two places or without a type, a series that appears twice, a histogram whose buckets do not add up.
 */
export function parsePage(text: string): ReadonlyMap<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  const families = new Map<string, { help: string | undefined; type: string; lines: Line[] }>();
  const series = new Set<string>();
  let current = '';
  for (const line of text.split('\n')) {
    const [, kind, subject = '', text = ''] = COMMENT.exec(line) ?? [];
    if (line === '' || (line.startsWith('#') && kind === undefined)) continue;
    if (kind !== undefined) {
      const known = families.get(subject);
      if (known !== undefined && (kind === 'HELP' || current !== subject || known.lines.length > 0)) fail(line);
      families.set(subject, {
        help: kind === 'HELP' ? text : known?.help,
        type: kind === 'TYPE' ? text : '',
        lines: known?.lines ?? [],
      });
      current = subject;
      continue;
    }
    const sample = parseSample(line);
    const family = families.get(current);
    const names = SUFFIXES[family?.type ?? '']?.map((suffix) => current + suffix) ?? [current];
    if (family === undefined || family.type === '' || !names.includes(sample.name)) fail(line);
    const id = `${sample.name} ${JSON.stringify([...sample.labels].toSorted())}`;
    if (series.has(id)) fail(line);
    series.add(id);
    family.lines.push(sample);
  }
  for (const [name, { type, lines }] of families) check(name, type, lines);
  return families;
}

function parseSample(line: string): Line {
  const [, name = '', labels = '', value = ''] = SAMPLE.exec(line) ?? fail(line);
  const read = new Map<string, string>();
  let end = 0;
  for (const [whole, label = '', text = ''] of labels.matchAll(LABEL)) {
    if (read.has(label)) fail(line);
    read.set(
      label,
      text.replaceAll(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped)),
    );
    end += whole.length;
  }
  if (end !== labels.length) fail(line);
  return { name, labels: read, value: parseValue(value) ?? fail(line) };
}

function parseValue(text: string): number | undefined {
  if (/^[+-]Inf$/.test(text)) return text === '-Inf' ? -Infinity : Infinity;
  return text === 'NaN' || /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : undefined;
}

function check(name: string, type: string, lines: readonly Line[]): void {
  if (type === 'counter' && lines.some(({ value }) => !(value >= 0))) fail(`${name} is less than nothing`);
  if (type !== 'histogram') return;
  for (const count of lines.filter((line) => line.name === `${name}_count`)) {
    const buckets = lines.filter((line) => line.name === `${name}_bucket` && isOf(line, count.labels));
    const bounds = buckets.map(({ labels }) => parseValue(labels.get('le') ?? '') ?? Number.NaN);
    const isRising = buckets.every(({ value }, index) => index === 0 || value >= (buckets[index - 1]?.value ?? 0));
    const isSorted = bounds.every((bound, index) => index === 0 || bound > (bounds[index - 1] ?? 0));
    const isWhole = bounds.at(-1) === Infinity && buckets.at(-1)?.value === count.value;
    if (!isRising || !isSorted || !isWhole) fail(`the buckets of ${name}`);
  }
}

function isOf(line: Line, labels: ReadonlyMap<string, string>): boolean {
  return [...labels].every(([label, text]) => line.labels.get(label) === text);
}

function fail(what: string): never {
  throw new Error(`This is not Prometheus' text format: ${what}`);
}

/** The sum of all series of a metric that carry these labels. */
export function sumOf(
  page: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const family = page.get(name) ?? page.get(name.replace(/_(bucket|sum|count)$/, '')) ?? fail(`no ${name}`);
  const asked = new Map(Object.entries(labels));
  const found = family.lines.filter((line) => line.name === name && isOf(line, asked));
  return found.reduce((sum, { value }) => sum + value, 0);
}
