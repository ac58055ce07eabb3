// Compares what Node's own zlib offers on documents like those that lanes hold: `node bench/compression.mjs`
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import * as zlib from 'node:zlib';
import { marked } from 'marked';

const PER_KIND = 60;
const ROUNDS = 9;

const brotli = (quality) => ({
  compress: (bytes) =>
    zlib.brotliCompressSync(bytes, {
      params: {
        [zlib.constants.BROTLI_PARAM_QUALITY]: quality,
        [zlib.constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
      },
    }),
  expand: (bytes) => zlib.brotliDecompressSync(bytes),
});
const deflate = (level) => ({
  compress: (bytes) => zlib.deflateRawSync(bytes, { level }),
  expand: (bytes) => zlib.inflateRawSync(bytes),
});
const zstd = (level) => ({
  compress: (bytes) => zlib.zstdCompressSync(bytes, { params: { [zlib.constants.ZSTD_c_compressionLevel]: level } }),
  expand: (bytes) => zlib.zstdDecompressSync(bytes),
});
const ALGORITHMS = {
  'deflateRaw 1': deflate(1),
  'deflateRaw 6': deflate(6),
  'brotli 0': brotli(0),
  'brotli 1': brotli(1),
  'brotli 2': brotli(2),
  'brotli 4': brotli(4),
  'brotli 5': brotli(5),
  // Node 22.15 and later
  ...(zlib.zstdCompressSync !== undefined && { 'zstd 1': zstd(1), 'zstd 3': zstd(3), 'zstd 6': zstd(6) }),
};

function documents(pattern) {
  const found = [];
  const visit = (directory, depth) => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      if (found.length >= PER_KIND) return;
      const path = join(directory, entry.name);
      if (entry.isDirectory() && depth > 0) visit(path, depth - 1);
      else if (entry.isFile() && pattern.test(entry.name)) {
        const { size } = statSync(path);
        if (size >= 5 * 1024 && size <= 200 * 1024) found.push(readFileSync(path));
      }
    }
  };
  visit('node_modules', 5);
  return found;
}

/** Time of the processor: what else the machine does counts less. */
const cpuMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e3;
};

function measure({ compress, expand }, texts) {
  let packedBytes = 0;
  let compressMs = Infinity;
  let expandMs = Infinity;
  let packed = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    let start = cpuMs();
    packed = texts.map(compress);
    compressMs = Math.min(compressMs, cpuMs() - start);
    start = cpuMs();
    packed.forEach(expand);
    expandMs = Math.min(expandMs, cpuMs() - start);
  }
  for (const bytes of packed) packedBytes += bytes.length;
  return { packedBytes, compressMs, expandMs };
}

const markdown = documents(/\.md$/i);
const KINDS = {
  Markdown: markdown,
  'HTML rendered from it': markdown.map((text) => Buffer.from(marked.parse(text.toString()))),
  JSON: documents(/\.json$/),
};

for (const [kind, texts] of Object.entries(KINDS)) {
  const total = texts.reduce((sum, text) => sum + text.length, 0);
  console.log(`\n${kind}: ${texts.length} documents, ${Math.round(total / texts.length / 1024)} KB on average`);
  console.log('| algorithm | ratio | compress MB/s | decompress MB/s |');
  console.log('| --- | ---: | ---: | ---: |');
  for (const [name, algorithm] of Object.entries(ALGORITHMS)) {
    const { packedBytes, compressMs, expandMs } = measure(algorithm, texts);
    const speed = (ms) => Math.round(total / 1024 / 1024 / (ms / 1000));
    console.log(`| ${name} | ${(total / packedBytes).toFixed(2)} | ${speed(compressMs)} | ${speed(expandMs)} |`);
  }
}
