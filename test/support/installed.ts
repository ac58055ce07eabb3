import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The path of the first of these programs that is on PATH, or in the folders of system programs. */
function findProgram(names: readonly string[]): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin'];
  return folders.flatMap((folder) => names.map((name) => join(folder, name))).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** `describe` where one of the programs is installed, else a loud skip; with CI set one must be there. */
export function describeWithProgram(
  api: { readonly describe: typeof import('@jest/globals').describe },
  programs: readonly string[],
  name: string,
  body: (program: string) => void,
): void {
  const program = findProgram(programs);
  if (program !== undefined) {
    api.describe(name, () => body(program));
    return;
  }
  const problem = `${programs.join(' or ')} is not installed: skipping '${name}'`;
  if (process.env['CI'] !== undefined) throw new Error(problem);
  process.stderr.write(`\n*** ${problem} ***\n`);
  const { skip } = api.describe;
  skip(name, () => body(''));
}
