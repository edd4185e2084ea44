// The device file system: a node for each device, and the usual links.
import type { Mount } from "../mount.ts";
import { SynthDir, SynthLink, SynthMount, SynthSpecial, SynthTree } from "../synthfs.ts";
import type { Vfs } from "../vfs.ts";
import { VBLK, VCHR, type VType } from "../vnode.ts";

const DEVFS_MAGIC = 0x01021994, ROOT_INO = 1;

/** A node: device numbers as st_rdev has them. */
export interface DevNode { readonly name: string; readonly type: VType; readonly rdev: number; readonly mode: number }

const chr = (name: string, major: number, minor: number, mode: number): DevNode => ({ name, type: VCHR, rdev: (major << 8) | minor, mode });
/** Devices that are always there, with Linux' numbers. */
const FIXED: readonly DevNode[] = [
  chr("null", 1, 3, 0o666), chr("zero", 1, 5, 0o666), chr("full", 1, 7, 0o666), chr("random", 1, 8, 0o666), chr("urandom", 1, 9, 0o666),
  chr("tty", 5, 0, 0o666), chr("console", 5, 1, 0o600), chr("ttyS0", 4, 64, 0o620),
];

/** => nodes: those of drivers that found something; directories: mount points such as shm */
export function devMount(vfs: Vfs, source: string, flags: number, nodes: readonly DevNode[], directories: readonly string[]): Mount {
  const root: SynthTree = new SynthTree(ROOT_INO, 0o755);
  let ino = ROOT_INO + 1;
  for (const n of [...FIXED, ...nodes]) root.add(n.name, new SynthSpecial(ino++, n.type, n.mode, n.rdev));
  for (const [name, target] of [["fd", "/proc/self/fd"], ["stdin", "/proc/self/fd/0"], ["stdout", "/proc/self/fd/1"], ["stderr", "/proc/self/fd/2"]] as const) {
    root.add(name, new SynthLink(ino++, () => target));
  }
  for (const name of directories) root.add(name, new SynthTree(ino++, 0o755) satisfies SynthDir);
  return new SynthMount(vfs, "devtmpfs", source, flags, DEVFS_MAGIC, root);
}

/** The node of a disk. */
export const diskNode = (name: string, rdev: number): DevNode => ({ name, type: VBLK, rdev, mode: 0o660 });
export const charNode = chr;
