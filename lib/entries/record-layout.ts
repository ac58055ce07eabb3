/**
 * A record, byte by byte (little-endian):
 *
 * |  at | bytes | what |
 * | --: | ----: | ---- |
 * |   0 |     2 | magic `LC` |
 * |   2 |     1 | format version |
 * |   3 |     1 | flags |
 * |   4 |     4 | CRC-32 of everything else |
 * |   8 |     4 | length of the whole record |
 * |  12 |     4 | length of the key |
 * |  16 |     4 | length of all tags |
 * |  20 |     2 | length of the app version |
 * |  22 |     2 | number of tags |
 * |  24 |     8 | length of the value before compression |
 * |  32 |    48 | birth, landedAt, expiresAt, staleUntil, computeMs, schemaVersion |
 * |  80 |       | app version, key, tags (each behind its length in 2 bytes), value |
 *
 * Magic, format version and checksum stay where they are in every later format.
 */
export const MAGIC = 0x434c;
export const FORMAT = 1;

/** Texts are UTF-16, because one of them is not well formed. */
export const WIDE_TEXT = 1;
/** The value is compressed. */
export const COMPRESSED = 2;

export const AT_FORMAT = 2;
export const AT_FLAGS = 3;
export const AT_CHECKSUM = 4;
export const AT_LENGTH = 8;
export const AT_KEY_LENGTH = 12;
export const AT_TAGS_LENGTH = 16;
export const AT_APP_VERSION_LENGTH = 20;
export const AT_TAG_COUNT = 22;
export const AT_VALUE_LENGTH = 24;
export const AT_BIRTH = 32;
export const AT_LANDED = 40;
export const AT_EXPIRES = 48;
export const AT_STALE_UNTIL = 56;
export const AT_COMPUTE_MS = 64;
export const AT_SCHEMA_VERSION = 72;
export const AT_TEXTS = 80;
