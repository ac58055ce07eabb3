#!/usr/bin/env node
import { realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { run } from './program.js';
import { terminalOf } from './terminal.js';

// A pipe whose reader has ended, as `| head`, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(process.exitCode);
});

const main = async (): Promise<void> => {
  process.exitCode = await run(process.argv.slice(2), terminalOf(process), ownVersion);
};

/** Of the package that this file lies in. */
function ownVersion(): string {
  const ownPath = realpathSync(process.argv[1] ?? '');
  const { version }: { readonly version: string } = createRequire(ownPath)('nestjs-lane-cache/package.json');
  return version;
}

void main();
