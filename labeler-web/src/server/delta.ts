/** Sparse changes of a mask: the one format in which edits travel, both ways (docs/labeler-api.md, "Delta"). */

const MAGIC = 0x3144434c; // "LCD1", little-endian

export interface Delta<Header = Record<string, unknown>> {
  header: Header;
  /** Flat indices, strictly increasing. */
  indices: Uint32Array;
  before: Uint8Array;
  after: Uint8Array;
}

/** Bytes of a change; the header is padded so that the indices lie on a multiple of four. */
export function encodeDelta(delta: Delta): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(JSON.stringify({ ...delta.header, count: delta.indices.length }));
  const padded = Math.ceil(text.length / 4) * 4;
  const count = delta.indices.length;
  const bytes = new Uint8Array(8 + padded + 6 * count);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, padded, true);
  bytes.fill(0x20, 8, 8 + padded);
  bytes.set(text, 8);
  new Uint32Array(bytes.buffer, 8 + padded, count).set(delta.indices);
  bytes.set(delta.before, 8 + padded + 4 * count);
  bytes.set(delta.after, 8 + padded + 5 * count);
  return bytes;
}

/**
 * Reads a change.
 *
 * @throws Error when the bytes are no delta or are cut off.
 */
export function decodeDelta<Header extends { count: number }>(buffer: ArrayBuffer): Delta<Header> {
  const view = new DataView(buffer);
  if (buffer.byteLength < 8 || view.getUint32(0, true) !== MAGIC)
    throw new Error("the server's answer is no mask change");
  const length = view.getUint32(4, true);
  const header: Header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const count = header.count;
  if (buffer.byteLength !== 8 + length + 6 * count) throw new Error("the server's answer is cut off");
  return {
    header,
    indices: new Uint32Array(buffer, 8 + length, count),
    before: new Uint8Array(buffer, 8 + length + 4 * count, count),
    after: new Uint8Array(buffer, 8 + length + 5 * count, count),
  };
}
