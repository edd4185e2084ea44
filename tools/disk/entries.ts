// What goes into a file system image: files, directories, links and device nodes by path, in the host's memory.
//
//   list file (the form of the kernel world's initramfs lists; # begins a comment)
//     dir PATH MODE UID GID                 file PATH HOSTFILE MODE UID GID
//     slink PATH TARGET MODE UID GID        link PATH EXISTING
//     nod PATH MODE UID GID c|b MAJOR MINOR pipe PATH MODE UID GID             sock PATH MODE UID GID
//
// Names and targets are strings of one character a byte, as everywhere in the kernel.
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join, resolve } from "node:path";

export type EntryKind = "file" | "dir" | "slink" | "link" | "char" | "block" | "pipe" | "sock";

/** One name of an image. Paths are absolute, without "." and "..". */
export interface Entry {
  kind: EntryKind;
  path: string;
  /** Permissions, set-id and sticky bits. */
  mode: number;
  uid: number;
  gid: number;
  /** Contents of a file. */
  bytes?: Uint8Array;
  /** Of a symbolic link: its text. Of a hard link: the path of the file, which comes earlier. */
  target?: string;
  major?: number;
  minor?: number;
  /** Seconds since 1970; else the image's time. */
  timeSec?: number;
}

/** A problem with what an image is made of, or with an image: one line for the user. */
export class DiskError extends Error {}

const dir = (path: string): Entry => ({ kind: "dir", path, mode: 0o755, uid: 0, gid: 0 });

/** The host's names are UTF-8; the image's are bytes. */
export const bytesName = (s: string): string => Buffer.from(s, "utf8").toString("latin1");
export const hostName = (s: string): string => Buffer.from(s, "latin1").toString("utf8");

/**
 * Sorts by path, adds parents that are missing, and keeps the last of entries with one path.
 *
 * => hard links come after everything else; throws DiskError for a path no image can hold
 */
export function normalize(entries: readonly Entry[]): Entry[] {
  const byPath = new Map<string, Entry>();
  for (const e of entries) {
    const names = e.path.split("/").filter((n) => n !== ""), path = `/${names.join("/")}`;
    if (names.some((n) => n === "." || n === ".." || n.length > 255 || n.includes("\0"))) throw new DiskError(`${e.path}: not a path for an image`);
    for (let i = 0; i < names.length; i++) {
      const up = `/${names.slice(0, i).join("/")}`, parent = byPath.get(up);
      if (!parent) byPath.set(up, dir(up));
      else if (parent.kind !== "dir") throw new DiskError(`${e.path}: ${up} is not a directory`);
    }
    const before = byPath.get(path);
    if (before?.kind === "dir" && e.kind !== "dir" && [...byPath.keys()].some((p) => p.startsWith(`${path}/`))) throw new DiskError(`${path}: is a directory with files in it`);
    byPath.set(path, { ...e, path });
  }
  const order = (e: Entry): string => (e.kind === "link" ? "1" : "0") + e.path.replaceAll("/", "\0");
  return [...byPath.values()].sort((a, b) => (order(a) < order(b) ? -1 : 1));
}

/** A folder of the host and what is below it, as `at` of the image. Owner root; the executable bit is kept. */
export function entriesOfHost(hostPath: string, at: string): Entry[] {
  const st = lstatSync(hostPath), base = { path: bytesName(at), uid: 0, gid: 0 };
  if (st.isSymbolicLink()) return [{ ...base, kind: "slink", mode: 0o777, target: bytesName(readlinkSync(hostPath)) }];
  if (st.isFile()) return [{ ...base, kind: "file", mode: (st.mode & 0o111) !== 0 ? 0o755 : 0o644, bytes: readFileSync(hostPath) }];
  if (!st.isDirectory()) return [];
  const below = readdirSync(hostPath).sort().flatMap((name) => entriesOfHost(join(hostPath, name), `${at === "/" ? "" : at}/${name}`));
  return [{ ...base, kind: "dir", mode: 0o755 }, ...below];
}

/** Reads a list file's text; host files are relative to `hostDir`. => throws DiskError with the line */
export function parseList(text: string, hostDir: string): Entry[] {
  return text.split("\n").flatMap((line, i) => {
    const words = line.replace(/(^|\s)#.*$/, "").trim().split(/\s+/);
    if (words[0] === "") return [];
    const e = parseLine(words, hostDir);
    if (typeof e === "string") throw new DiskError(`line ${i + 1} of the list: ${e}`);
    return [e];
  });
}

const WORDS: Record<string, number> = { dir: 5, file: 6, slink: 6, link: 3, nod: 8, pipe: 5, sock: 5 };

function parseLine(words: string[], hostDir: string): Entry | string {
  const [kind = "", path = ""] = words, isNamed = kind === "file" || kind === "slink";
  if (WORDS[kind] !== words.length) return `${kind} with ${words.length - 1} words after it`;
  if (kind === "link") return { kind, path, mode: 0, uid: 0, gid: 0, target: words[2]! };
  const [modeWord = "", uidWord = "", gidWord = ""] = words.slice(isNamed ? 3 : 2);
  const mode = parseInt(modeWord, 8), uid = Number(uidWord), gid = Number(gidWord), base = { path, mode, uid, gid };
  if (![mode, uid, gid].every((n) => Number.isInteger(n) && n >= 0) || mode > 0o7777) return `mode, uid or gid of ${path} is not a number`;
  if (kind === "file") {
    try {
      return { ...base, kind, bytes: readFileSync(resolve(hostDir, words[2]!)) };
    } catch (e) {
      return `${words[2]}: ${(e as Error).message}`;
    }
  }
  if (kind === "slink") return { ...base, kind, target: words[2]! };
  if (kind !== "nod") return { ...base, kind: kind as "dir" | "pipe" | "sock" };
  const major = Number(words[6]), minor = Number(words[7]);
  if (!Number.isInteger(major) || !Number.isInteger(minor) || !/^[cb]$/.test(words[5]!)) return `${path}: give c or b, major and minor`;
  return { ...base, kind: words[5] === "c" ? "char" : "block", major, minor };
}
