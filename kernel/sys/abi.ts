// Structures of the Linux riscv64 ABI: what lies where.
import { EINVAL } from "../lib/errno.ts";
import type { Usage } from "../kern/proc.ts";
import { majorOf, minorOf } from "../kern/vnfile.ts";
import { MNT_NOATIME, MNT_STRICTATIME } from "../vfs/filetimes.ts";
import type { FsStat } from "../vfs/mount.ts";
import { EPOCH, type Timespec } from "../lib/timespec.ts";
import { type Attr, modeOf } from "../vfs/vnode.ts";
import { i64At, put64 } from "./args.ts";

export const AT_FDCWD = -100, AT_SYMLINK_NOFOLLOW = 0x100, AT_REMOVEDIR = 0x200, AT_SYMLINK_FOLLOW = 0x400, AT_EMPTY_PATH = 0x1000, AT_EACCESS = 0x200;
export const NS = 1e9;

export const secOf = (ns: number): number => Math.floor(ns / NS);
export const nsecOf = (ns: number): number => ns - Math.floor(ns / NS) * NS;

function view(len: number): { bytes: Uint8Array; d: DataView } {
  const bytes = new Uint8Array(len);
  return { bytes, d: new DataView(bytes.buffer) };
}

/** struct timespec. */
export function putTimespec(d: DataView, at: number, ns: number): void {
  put64(d, at, secOf(ns));
  put64(d, at + 8, nsecOf(ns));
}

/** struct timespec, exact. */
export function putTime(d: DataView, at: number, t: Timespec): void {
  put64(d, at, t.sec);
  put64(d, at + 8, t.nsec);
}

export function timespecBytes(ns: number): Uint8Array {
  const { bytes, d } = view(16);
  putTimespec(d, 0, ns);
  return bytes;
}

/** => ns, or -EINVAL */
export function timespecAt(d: DataView, at: number): number {
  const sec = i64At(d, at), nsec = i64At(d, at + 8);
  if (sec < 0 || nsec < 0 || nsec >= NS) return -EINVAL;
  return sec * NS + nsec;
}

/** struct timeval. */
export function putTimeval(d: DataView, at: number, ns: number): void {
  put64(d, at, secOf(ns));
  put64(d, at + 8, Math.floor(nsecOf(ns) / 1000));
}

/** => ns, or -EINVAL */
export function timevalAt(d: DataView, at: number): number {
  const sec = i64At(d, at), usec = i64At(d, at + 8);
  return sec < 0 || usec < 0 || usec >= 1e6 ? -EINVAL : sec * NS + usec * 1000;
}

/** struct stat, 128 bytes. */
export function statBytes(a: Attr): Uint8Array {
  const { bytes, d } = view(128);
  put64(d, 0, a.dev);
  put64(d, 8, a.ino);
  d.setUint32(16, modeOf(a), true);
  d.setUint32(20, a.nlink, true);
  d.setUint32(24, a.uid, true);
  d.setUint32(28, a.gid, true);
  put64(d, 32, a.rdev);
  put64(d, 48, a.size);
  d.setInt32(56, a.blockSize, true);
  put64(d, 64, a.blocks);
  putTime(d, 72, a.atime);
  putTime(d, 88, a.mtime);
  putTime(d, 104, a.ctime);
  return bytes;
}

export const STATX_BASIC_STATS = 0x7ff, STATX_BTIME = 0x800;

/** struct statx, 256 bytes. The basic statistics are always filled; birth when it was asked for and is known. */
export function statxBytes(a: Attr, wanted: number): Uint8Array {
  const { bytes, d } = view(256), tellsBirth = (wanted & STATX_BTIME) !== 0 && a.btime !== undefined;
  const time = (at: number, t: Timespec): void => {
    put64(d, at, t.sec);
    d.setUint32(at + 8, t.nsec, true);
  };
  d.setUint32(0, STATX_BASIC_STATS | (tellsBirth ? STATX_BTIME : 0), true);
  put64(d, 8, a.attributes ?? 0);
  put64(d, 56, a.attributesMask ?? 0);
  d.setUint32(4, a.blockSize, true);
  d.setUint32(16, a.nlink, true);
  d.setUint32(20, a.uid, true);
  d.setUint32(24, a.gid, true);
  d.setUint16(28, modeOf(a), true);
  put64(d, 32, a.ino);
  put64(d, 40, a.size);
  put64(d, 48, a.blocks);
  time(64, a.atime);
  time(80, tellsBirth ? a.btime! : EPOCH);
  time(96, a.ctime);
  time(112, a.mtime);
  d.setUint32(128, majorOf(a.rdev), true);
  d.setUint32(132, minorOf(a.rdev), true);
  d.setUint32(136, majorOf(a.dev), true);
  d.setUint32(140, minorOf(a.dev), true);
  return bytes;
}

/** f_flags of statfs: the low mount flags have the same bits there. */
const ST_VALID = 0x20, ST_RELATIME = 0x1000, ST_SAME = 0xc1f;

/** struct statfs, 120 bytes. */
export function statfsBytes(s: FsStat, dev: number, flags: number): Uint8Array {
  const { bytes, d } = view(120);
  [s.magic, s.blockSize, s.blocks, s.blocksFree, s.blocksAvailable, s.files, s.filesFree].forEach((v, i) => put64(d, 8 * i, v));
  d.setInt32(56, dev, true);
  put64(d, 64, s.nameMax);
  put64(d, 72, s.blockSize);
  put64(d, 80, (flags & ST_SAME) | ((flags & (MNT_NOATIME | MNT_STRICTATIME)) === 0 ? ST_RELATIME : 0) | ST_VALID);
  return bytes;
}

/** struct rusage, 144 bytes. */
export function rusageBytes(u: Usage): Uint8Array {
  const { bytes, d } = view(144);
  putTimeval(d, 0, u.userNs);
  putTimeval(d, 16, u.sysNs);
  put64(d, 32, u.maxRssPages * 4);
  put64(d, 64, u.minorFaults);
  put64(d, 72, u.majorFaults);
  put64(d, 128, u.voluntary);
  put64(d, 136, u.involuntary);
  return bytes;
}

/** struct utsname: six fields of 65 bytes. */
export function utsnameBytes(fields: readonly string[]): Uint8Array {
  const { bytes } = view(390);
  fields.forEach((s, i) => {
    for (let j = 0; j < Math.min(64, s.length); j++) bytes[65 * i + j] = s.charCodeAt(j);
  });
  return bytes;
}

export interface SysInfo {
  readonly uptimeSec: number;
  readonly totalRam: number;
  readonly freeRam: number;
  readonly procs: number;
}

/** struct sysinfo, 112 bytes. */
export function sysinfoBytes(s: SysInfo): Uint8Array {
  const { bytes, d } = view(112);
  put64(d, 0, s.uptimeSec);
  put64(d, 32, s.totalRam);
  put64(d, 40, s.freeRam);
  d.setUint16(80, s.procs, true);
  d.setUint32(104, 1, true);
  return bytes;
}
