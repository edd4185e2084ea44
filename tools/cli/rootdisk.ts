// The root disk of a boot: the one that comes with us, or a file of the host.
import { fileURLToPath } from "node:url";
import { brotliDecompressSync } from "node:zlib";
import type { BlockBackend } from "../../emu/dev/device.ts";
import { EXT2_MAGIC, SB_MAGIC, SB_OFFSET } from "../../kernel/vfs/ext2/layout.ts";
import { memoryDisk, openDisk, readInput } from "./files.ts";
import { UsageError } from "./options.ts";

/** The root disk that comes with us, and how large it is uncompressed; from build/tools, where this runs. */
const EMBEDDED_ROOT = fileURLToPath(new URL("../../guest/image/root.img.br", import.meta.url)), EMBEDDED_ROOT_BYTES = 16 << 20;
const SPARSE_BYTES = 16384;

/** Uncompressed in one piece, as zlib's small ones would leave the heap twice as large; what is zero takes no memory of the host. */
export function embeddedRoot(): Uint8Array {
  const whole = brotliDecompressSync(readInput("embedded root disk", EMBEDDED_ROOT), { chunkSize: EMBEDDED_ROOT_BYTES }), image = new Uint8Array(whole.length);
  const zeros = new Uint8Array(SPARSE_BYTES);
  for (let at = 0; at < whole.length; at += SPARSE_BYTES) {
    const part = whole.subarray(at, at + SPARSE_BYTES);
    if (Buffer.compare(part, zeros.subarray(0, part.length)) !== 0) image.set(part, at);
  }
  return image;
}

/** Changes are dropped. */
export const embeddedDisk = (): BlockBackend => memoryDisk(EMBEDDED_ROOT, embeddedRoot());

/** A root disk of the host. => throws UsageError when there is no file system on it */
export function rootDisk(path: string, writable: boolean): BlockBackend {
  const disk = openDisk(path, { writable }), bytes = new Uint8Array(2), at = SB_OFFSET + SB_MAGIC;
  if (disk.sizeBytes >= at + bytes.length) disk.read(at, bytes);
  const magic = bytes[0]! | (bytes[1]! << 8);
  if (magic !== EXT2_MAGIC) {
    throw new UsageError(`disk ${path}: superblock (byte ${SB_OFFSET}): magic 0x${magic.toString(16)} is not ext2's 0xef53; \`loanword disk root\` writes a root disk`);
  }
  return disk;
}
