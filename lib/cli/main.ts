#!/usr/bin/env node
import { run } from './program.js';
import { terminalOf } from './terminal.js';

const main = async (): Promise<void> => {
  process.exitCode = await run(process.argv.slice(2), terminalOf(process));
};

void main();
