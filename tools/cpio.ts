// Archives of files in cpio's "newc" form, as initial RAM disks are: what is brought from the host into the guest. Runs in a page too.
//
//   "070701" | 13 fields of 8 hex digits | name NUL, padded to 4 | data, padded to 4 | … | "TRAILER!!!"
//
// Times are 0 and inode numbers count up, so the same files make the same bytes.

export const S_IFDIR = 0o040000, S_IFREG = 0o100000, S_IFLNK = 0o120000;

/** One file, directory or symbolic link. Paths have no leading slash. */
export interface CpioEntry {
  path: string;
  /** Type and permissions. */
  mode: number;
  data: Uint8Array;
  /** Major and minor number of a device. */
  rdev?: readonly [number, number];
}

/** Packs entries in the order given; missing parent directories come before them. */
export function packCpio(entries: readonly CpioEntry[]): Uint8Array {
  const parts: Uint8Array[] = [], known = new Set<string>([""]);
  let ino = 1;
  const add = (e: CpioEntry): void => void parts.push(...pieces(e, ino++));
  for (const entry of entries) {
    const names = entry.path.split("/");
    for (let i = 1; i < names.length; i++) {
      const parent = names.slice(0, i).join("/");
      if (!known.has(parent)) add({ path: parent, mode: S_IFDIR | 0o755, data: new Uint8Array(0) });
      known.add(parent);
    }
    known.add(entry.path);
    add(entry);
  }
  parts.push(...pieces({ path: "TRAILER!!!", mode: 0, data: new Uint8Array(0) }, 0));
  const archive = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    archive.set(part, at);
    at += part.length;
  }
  return archive;
}

function pieces({ path, mode, data, rdev = [0, 0] }: CpioEntry, ino: number): Uint8Array[] {
  const name = new TextEncoder().encode(`${path}\0`), links = (mode & 0o170000) === S_IFDIR ? 2 : 1;
  const fields = [ino, mode, 0, 0, links, 0, data.length, 0, 0, rdev[0], rdev[1], name.length, 0];
  const header = new TextEncoder().encode(`070701${fields.map((f) => f.toString(16).padStart(8, "0")).join("")}`);
  const pad = (n: number): Uint8Array => new Uint8Array(-n & 3);
  return [header, name, pad(header.length + name.length), data, pad(data.length)];
}
