import { types } from 'node:util';
import { MalformedValue, type CellWriter, type Kind } from './kind.js';

/**
 * A view is stored as the bytes it shows, not the buffer it lies in: a small Buffer must not drag its pool along.
 * Properties added to a view are not looked for (decoders add some of their own, and looking takes time by length).
 */
type ViewConstructor = new (buffer: ArrayBuffer) => NodeJS.ArrayBufferView;

const VIEW_NAMES = [
  'Int8Array',
  'Uint8Array',
  'Uint8ClampedArray',
  'Int16Array',
  'Uint16Array',
  'Int32Array',
  'Uint32Array',
  'Float16Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
  'DataView',
];

const isConstructor = (value: unknown): value is ViewConstructor => typeof value === 'function';

/** One kind of view, where this version of Node has it. */
function viewKind(name: string): readonly Kind[] {
  const constructor: unknown = Reflect.get(globalThis, name);
  if (!isConstructor(constructor)) return [];
  const prototype: object = constructor.prototype;
  const kind: Kind<NodeJS.ArrayBufferView> = {
    name,
    prototype,
    isReal: (value): value is NodeJS.ArrayBufferView => ArrayBuffer.isView(value),
    lower: lowerView,
    shell: (cells) => new constructor(cells.bytes(0).buffer),
  };
  return [kind];
}

const bufferKind: Kind<Buffer> = {
  name: 'Buffer',
  prototype: Buffer.prototype,
  isReal: (value): value is Buffer => ArrayBuffer.isView(value),
  lower: lowerView,
  shell: (cells) => Buffer.from(cells.bytes(0).buffer),
};

const arrayBufferKind: Kind<ArrayBuffer> = {
  name: 'ArrayBuffer',
  prototype: ArrayBuffer.prototype,
  isReal: (value): value is ArrayBuffer => types.isArrayBuffer(value),
  lower: (buffer, writer) => {
    refuseSpecial(buffer, writer);
    return [new Uint8Array(buffer)];
  },
  shell: (cells) => {
    if (cells.length !== 1) throw new MalformedValue('A buffer has more than its bytes.');
    return cells.bytes(0).buffer;
  },
};

function lowerView(view: NodeJS.ArrayBufferView, writer: CellWriter): unknown[] {
  refuseSpecial(view.buffer, writer);
  return [new Uint8Array(view.buffer, view.byteOffset, view.byteLength)];
}

function refuseSpecial(buffer: ArrayBufferLike, writer: CellWriter): void {
  if (types.isSharedArrayBuffer(buffer)) writer.refuse('lies in memory shared between threads');
  if ('resizable' in buffer && buffer.resizable === true) writer.refuse('lies in a resizable ArrayBuffer');
}

/** What holds bytes. */
export const byteKinds: readonly Kind[] = [bufferKind, arrayBufferKind, ...VIEW_NAMES.flatMap(viewKind)];
