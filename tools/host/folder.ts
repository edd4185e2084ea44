// A folder of the host as entries of an archive, for the guest.
import { lstatSync, readFileSync, readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { type CpioEntry, S_IFDIR, S_IFLNK, S_IFREG } from "../cpio.ts";

/**
 * The files below a folder of the host, to appear below `guestPath`. Sockets, pipes and devices are left out.
 *
 * => throws the host's error when something cannot be read
 */
export function entriesOf(hostPath: string, guestPath: string): CpioEntry[] {
  const info = lstatSync(hostPath), permissions = info.mode & 0o7777;
  if (info.isSymbolicLink()) return [{ path: guestPath, mode: S_IFLNK | 0o777, data: new TextEncoder().encode(readlinkSync(hostPath)) }];
  if (info.isFile()) return [{ path: guestPath, mode: S_IFREG | permissions, data: readFileSync(hostPath) }];
  if (!info.isDirectory()) return [];
  const below = readdirSync(hostPath).sort().flatMap((name) => entriesOf(join(hostPath, name), guestPath === "" ? name : `${guestPath}/${name}`));
  return guestPath === "" ? below : [{ path: guestPath, mode: S_IFDIR | permissions, data: new Uint8Array(0) }, ...below];
}
