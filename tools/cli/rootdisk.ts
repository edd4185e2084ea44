// The root disk of a boot: the one that comes with us, or a file of the host.
import { fileURLToPath } from "node:url";
import { createBrotliDecompress } from "node:zlib";
import type { BlockBackend } from "../../emu/dev/device.ts";
import { EXT2_MAGIC, SB_MAGIC, SB_OFFSET } from "../../kernel/vfs/ext2/layout.ts";
import { memoryDisk, openDisk, readInput } from "./files.ts";
import { UsageError } from "./options.ts";

/** The root disk that comes with us, and how large it is uncompressed; from build/tools, where this runs. */
const EMBEDDED_ROOT = fileURLToPath(new URL("../../guest/image/root.img.br", import.meta.url)), EMBEDDED_ROOT_BYTES = 16 << 20;
/** Read and uncompressed at once. */
const PIECE_BYTES = 128 << 10;

/**
 * The image, uncompressed piece by piece; what is zero takes no memory of the host. In one piece it would be of 16 MiB for a
 * moment, and glibc, which takes the largest piece given back for a measure, would give nothing back below that any more: 60 MiB
 * after some minutes.
 */
export async function embeddedRoot(): Promise<Uint8Array> {
  const packed = readInput("embedded root disk", EMBEDDED_ROOT), image = new Uint8Array(EMBEDDED_ROOT_BYTES), zeros = new Uint8Array(PIECE_BYTES);
  const unpacker = createBrotliDecompress({ chunkSize: PIECE_BYTES });
  unpacker.end(packed);
  let at = 0;
  try {
    for await (const piece of unpacker as AsyncIterable<Uint8Array>) {
      if (Buffer.compare(piece, zeros.subarray(0, piece.length)) !== 0) image.set(piece, at);
      at += piece.length;
    }
  } catch (e) {
    throw new UsageError(`embedded root disk ${EMBEDDED_ROOT}: cannot be uncompressed (${(e as Error).message}); get it anew with git checkout`);
  }
  return image;
}

/** Changes are dropped. */
export const embeddedDisk = async (): Promise<BlockBackend> => memoryDisk(EMBEDDED_ROOT, await embeddedRoot());

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
