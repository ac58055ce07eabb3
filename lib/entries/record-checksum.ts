import { crc32 } from 'node:zlib';
import { AT_CHECKSUM, AT_LENGTH } from './record-layout.js';

/** Covers all of a record but the checksum itself: what stands before it is the seed for what stands behind it. */
export const checksumOf = (record: Buffer): number => crc32(record.subarray(AT_LENGTH), record.readUInt32LE(0));

/** Sets the checksum when everything else is in place. */
export const signRecord = (record: Buffer): void => {
  record.writeUInt32LE(checksumOf(record), AT_CHECKSUM);
};
