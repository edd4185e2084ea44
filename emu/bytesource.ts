// Where images come from: bytes in memory, or a file that is read where it is needed and lies in memory nowhere else.

/** Bytes that can be read from any place, and again later: a reset loads images anew. */
export interface ByteSource {
  readonly sizeBytes: number;
  /** Fills `into` with the bytes from `offset` on. => all of them lie inside; throws when they cannot be read any more */
  read(offset: number, into: Uint8Array): void;
}

/** What callers may give. */
export type Bytes = Uint8Array | ByteSource;

export function sourceOf(bytes: Bytes): ByteSource {
  if (!(bytes instanceof Uint8Array)) return bytes;
  return { sizeBytes: bytes.length, read: (offset, into) => into.set(bytes.subarray(offset, offset + into.length)) };
}

/** A copy of [offset, offset + lenBytes), cut where the source ends. */
export function copyOf(source: ByteSource, offset: number, lenBytes: number): Uint8Array {
  const copy = new Uint8Array(Math.max(Math.min(lenBytes, source.sizeBytes - offset), 0));
  if (copy.length > 0) source.read(offset, copy);
  return copy;
}
