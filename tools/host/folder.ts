// Folders of the host, for archives and disk images.
import { lstatSync, readFileSync, readdirSync, readlinkSync, type Stats } from "node:fs";
import { join } from "node:path";
import { type CpioEntry, S_IFDIR, S_IFLNK, S_IFREG } from "../cpio.ts";

/** Told of files that cannot be taken along, and what they are. */
export type LeftOut = (path: string, kind: string) => void;

/** What a file is that has no contents to copy. */
export function kindOf(info: Stats): string {
  return info.isSocket() ? "socket" : info.isFIFO() ? "pipe" : "device";
}

/** => the names in a folder, sorted. Throws the host's error, or one that names what is not in UTF-8 */
export function namesIn(path: string): string[] {
  return readdirSync(path, { encoding: "buffer" }).map((bytes) => {
    const name = bytes.toString();
    if (Buffer.compare(Buffer.from(name), bytes) !== 0) throw new Error(`the name ${JSON.stringify(name)} in ${path} is not UTF-8; rename it`);
    return name;
  }).sort();
}

/** The files below a folder of the host, to appear below `guestPath`. => throws the host's error when something cannot be read */
export function entriesOf(hostPath: string, guestPath: string, leftOut: LeftOut = () => {}): CpioEntry[] {
  const info = lstatSync(hostPath), permissions = info.mode & 0o7777;
  if (info.isSymbolicLink()) return [{ path: guestPath, mode: S_IFLNK | 0o777, data: new TextEncoder().encode(readlinkSync(hostPath)) }];
  if (info.isFile()) return [{ path: guestPath, mode: S_IFREG | permissions, data: readFileSync(hostPath) }];
  if (!info.isDirectory()) return leftOut(hostPath, kindOf(info)), [];
  const below = namesIn(hostPath).flatMap((name) => entriesOf(join(hostPath, name), guestPath === "" ? name : `${guestPath}/${name}`, leftOut));
  return guestPath === "" ? below : [{ path: guestPath, mode: S_IFDIR | permissions, data: new Uint8Array(0) }, ...below];
}
