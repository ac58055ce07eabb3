import { randomBytes } from 'node:crypto';

/** A fraction in [0, 1), for spreading load; not for secrets. */
export const randomFraction = (): number => Math.random();

/** 128 unguessable bits as 32 hexadecimal digits. */
export const randomId = (): string => randomBytes(16).toString('hex');
