import { readFile } from 'node:fs/promises';

/** Who claims a directory, as its file tells others. */
export interface Claimant {
  /** 0 if the file could not be read. */
  readonly pid: number;
  readonly host: string;
  /** The machine's boot; undefined where the system does not tell. */
  readonly bootId: string | undefined;
  /** Where the claimant answers other processes. */
  readonly socket: string | undefined;
}

const stringOf = (value: object, name: string): string | undefined => {
  const field: unknown = Reflect.get(value, name);
  return typeof field === 'string' ? field : undefined;
};

/** Never throws: what the file says decides nothing by itself. */
export const parseClaimant = (text: string): Claimant => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const fields = typeof value === 'object' && value !== null ? value : {};
  const pid: unknown = Reflect.get(fields, 'pid');
  return {
    pid: typeof pid === 'number' ? pid : 0,
    host: stringOf(fields, 'host') ?? '',
    bootId: stringOf(fields, 'bootId'),
    socket: stringOf(fields, 'socket'),
  };
};

/** Linux's name for this boot of this kernel; undefined elsewhere. */
export const bootId = async (): Promise<string | undefined> => {
  try {
    return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  } catch {
    return undefined;
  }
};
