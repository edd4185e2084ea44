// Files named on the command line: read or opened, or a line that says which one is unusable and what to do about it.
import { readFileSync, statSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { type ByteSource, sourceOf } from "../../emu/bytesource.ts";
import { MemoryBackend, OverlayBackend } from "../../emu/dev/backend.ts";
import type { BlockBackend } from "../../emu/dev/device.ts";
import { FileBackend } from "../host/filebackend.ts";
import { UsageError } from "./options.ts";

const REASONS: Record<string, string> = {
  ENOENT: "no such file; check the path", EACCES: "permission denied; check the file's mode", EPERM: "permission denied; check the file's mode",
  EISDIR: "is a directory; name a file", ENOTDIR: "a part of the path is not a directory", EROFS: "is on a read-only file system",
  ELOOP: "too many symbolic links", ENAMETOOLONG: "the name is too long", ENOSPC: "no space left on the device",
};

/** A host error about a file, or one below a folder, as one line. */
export function fileError(what: string, path: string, e: unknown): UsageError {
  const { code = "", path: failed } = e as NodeJS.ErrnoException;
  return new UsageError(`${what} ${failed ?? path}: ${REASONS[code] ?? (e instanceof Error ? e.message : String(e))}`);
}

/** => the file's bytes; throws UsageError */
export function readInput(what: string, path: string): Uint8Array {
  try {
    if (statSync(path).isDirectory()) throw Object.assign(new Error(), { code: "EISDIR" });
    const bytes = readFileSync(path);
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  } catch (e) {
    throw fileError(what, path, e);
  }
}

/**
 * A file that is read in parts when they are wanted, and stays open for that. What is no regular file is read at once, and so is what
 * does not know its size, as in /proc.
 *
 * => throws UsageError, and so does its `read`
 */
export function openInput(what: string, path: string): ByteSource {
  let file: FileBackend;
  try {
    const info = statSync(path);
    if (!info.isFile() || info.size === 0) return sourceOf(readInput(what, path));
    file = new FileBackend(path, { writable: false });
  } catch (e) {
    throw e instanceof UsageError ? e : fileError(what, path, e);
  }
  const read = (offset: number, into: Uint8Array): void => {
    try {
      file.read(offset, into);
    } catch (e) {
      throw fileError(what, path, e);
    }
  };
  return { sizeBytes: file.sizeBytes, read };
}

const SECTOR = 512;

function checkSize(path: string, sizeBytes: number): void {
  if (sizeBytes === 0) throw new UsageError(`disk ${path}: is empty; make one with \`truncate -s 16M\` and a file system`);
  if (sizeBytes % SECTOR !== 0) throw new UsageError(`disk ${path}: ${sizeBytes} bytes are not whole sectors of ${SECTOR}: is the image truncated?`);
}

/** A disk in memory that forgets its changes; `bytes` may be gzipped. */
export function memoryDisk(path: string, bytes: Uint8Array): BlockBackend {
  let image = bytes;
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    try {
      image = gunzipSync(bytes);
    } catch (e) {
      throw new UsageError(`disk ${path}: cannot be uncompressed (${(e as Error).message}): is the file truncated?`);
    }
  }
  checkSize(path, image.length);
  return new OverlayBackend(new MemoryBackend(image, { readOnly: true }));
}

/**
 * A disk of the host: its file itself with --rw, else a view of it that forgets its changes.
 *
 * => throws UsageError; gzipped images are uncompressed into memory, and cannot be written
 */
export function openDisk(path: string, options: { writable: boolean }): BlockBackend {
  let file: FileBackend;
  try {
    if (!statSync(path).isFile()) throw new UsageError(`disk ${path}: is not a regular file; name a disk image`);
    file = new FileBackend(path, options);
  } catch (e) {
    throw e instanceof UsageError ? e : fileError("disk", path, e);
  }
  const magic = new Uint8Array(2);
  if (file.sizeBytes >= 2) file.read(0, magic);
  if (magic[0] === 0x1f && magic[1] === 0x8b) {
    if (options.writable) throw new UsageError(`disk ${path}: is compressed, so --rw cannot write to it; uncompress it with gunzip first`);
    return memoryDisk(path, readInput("disk", path));
  }
  checkSize(path, file.sizeBytes);
  return options.writable ? file : new OverlayBackend(file);
}
