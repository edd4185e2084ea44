// What `loanword disk ls` prints: a line for each name in a directory, or one for a file.
//
//   -rwsr-xr-x  1    0    0  4242 2026-01-15T08:00:00Z su         size in bytes, time of the last change in UTC
//   crw-------  1    0    0  5, 1 2026-01-15T08:00:00Z console    devices: major, minor
//   lrwxrwxrwx  1    0    0     6 2026-01-15T08:00:00Z sh -> dash
import type { Timespec } from "../../kernel/lib/timespec.ts";
import { type Attr, VBLK, VCHR, VDIR, VFIFO, VLNK, VREG, VSOCK } from "../../kernel/vfs/vnode.ts";
import type { DiskFs } from "../diskfs.ts";

const TYPES: Readonly<Record<number, string>> = { [VREG]: "-", [VDIR]: "d", [VLNK]: "l", [VCHR]: "c", [VBLK]: "b", [VFIFO]: "p", [VSOCK]: "s" };
const SET_UID = 0o4000, SET_GID = 0o2000, STICKY = 0o1000;

/** => ten letters; s and t where set-id or sticky goes with execution, S and T where it does not */
export function modeLetters(type: number, mode: number): string {
  const three = (shift: number, isSpecial: boolean, letter: string): string => {
    const bits = mode >> shift, runs = (bits & 1) !== 0;
    return `${bits & 4 ? "r" : "-"}${bits & 2 ? "w" : "-"}${isSpecial ? (runs ? letter : letter.toUpperCase()) : runs ? "x" : "-"}`;
  };
  return `${TYPES[type] ?? "?"}${three(6, (mode & SET_UID) !== 0, "s")}${three(3, (mode & SET_GID) !== 0, "s")}${three(0, (mode & STICKY) !== 0, "t")}`;
}

/** A device number as Linux splits it: 12 bits of major between the two parts of the minor. */
function device(rdev: number): string {
  return `${(rdev >>> 8) & 0xfff}, ${(rdev & 0xff) | ((rdev >>> 12) & 0xfff00)}`;
}

const time = (t: Timespec): string => new Date(t.sec * 1000).toISOString().replace(".000Z", "Z");

function columns(a: Attr, name: string): string[] {
  const isDevice = a.type === VCHR || a.type === VBLK;
  return [modeLetters(a.type, a.mode), String(a.nlink), String(a.uid), String(a.gid), isDevice ? device(a.rdev) : String(a.size), time(a.mtime), name];
}

function row(disk: DiskFs, full: string, name: string): string[] {
  const a = disk.stat(full, false);
  return columns(a, a.type === VLNK ? `${name} -> ${disk.readlink(full)}` : name);
}

/** => the lines, by name; numbers are aligned at the right */
export function longList(disk: DiskFs, path: string): string[] {
  const isDirectory = disk.stat(path).type === VDIR, names = isDirectory ? disk.list(path).map((e) => e.name).sort((x, y) => (x < y ? -1 : 1)) : [];
  const rows = isDirectory ? names.map((name) => row(disk, `${path.replace(/\/$/, "")}/${name}`, name)) : [row(disk, path, path)];
  const widths = rows.reduce<number[]>((w, row) => row.map((cell, i) => Math.max(w[i] ?? 0, cell.length)), []);
  return rows.map((row) => row.map((cell, i) => (i === row.length - 1 ? cell : cell.padStart(widths[i]!))).join(" "));
}
