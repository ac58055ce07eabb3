import { gunzipSync } from 'node:zlib';

/** A file of the page, as the build of the page made it. */
export interface PageFile {
  readonly type: string;
  /** Compressed by gzip, as base64. */
  readonly gzip: string;
}

/** A file ready to be sent. */
export interface ReadyFile {
  readonly type: string;
  readonly gzip: Buffer;
  readonly plain: Buffer;
}

/** Made by `npm run build:page`. As a variable, so that compilers do not look for it. */
const GENERATED: string = './page.generated.cjs';

/** The files of the page by name: a map, so that no name in a URL becomes a path. */
export type PageFiles = ReadonlyMap<string, ReadyFile>;

export async function loadPage(): Promise<PageFiles> {
  const { files }: { readonly files: Readonly<Record<string, PageFile>> } = await import(GENERATED);
  return new Map(
    Object.entries(files).map(([name, { type, gzip }]) => {
      const bytes = Buffer.from(gzip, 'base64');
      return [name, { type, gzip: bytes, plain: gunzipSync(bytes) }];
    }),
  );
}
