#!/usr/bin/env node
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

// A pipe whose reader has ended, as `| head`, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(process.exitCode);
});

const main = async (): Promise<void> => {
  // Loading msgpackr's native part takes longer than it saves with what a command decodes. It is decided when msgpackr is loaded.
  process.env['MSGPACKR_NATIVE_ACCELERATION_DISABLED'] ??= 'true';
  const [{ run }, { terminalOf }] = await Promise.all([import('./program.js'), import('./terminal.js')]);
  process.exitCode = await run(process.argv.slice(2), terminalOf(process), {
    name: basename(process.argv[1] ?? '') === 'lane-cache' ? 'lane-cache' : 'nestjs-lane-cache',
    version: ownVersion,
  });
};

/** Of the package that this file lies in, wherever the build puts it. */
function ownVersion(): string {
  for (let directory = dirname(realpathSync(process.argv[1] ?? '')); ; directory = dirname(directory)) {
    const file = join(directory, 'package.json');
    if (!existsSync(file)) continue;
    const { version }: { readonly version?: string } = JSON.parse(readFileSync(file, 'utf8'));
    if (version !== undefined) return version;
  }
}

void main();
