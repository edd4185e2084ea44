// Drivers and what they drive: disks, the console, and the file systems that are there from the start.
import type { KGen } from "./lib/kthread.ts";
import { Uart } from "./dev/uart.ts";
import { VirtioBlk } from "./dev/virtioblk.ts";
import { VIRTIO_ID_BLK, VIRTIO_ID_CONSOLE, virtioProbe } from "./dev/virtiommio.ts";
import { VPorts } from "./dev/vport.ts";
import { DiskFiles } from "./kern/blkfile.ts";
import type { Kern } from "./kern/kern.ts";
import { MEM_MAJOR, memDevices } from "./kern/memdev.ts";
import { procMount } from "./kern/procfs.ts";
import { openControllingTty, openTty } from "./kern/ttyops.ts";
import { Tty } from "./kern/tty.ts";
import { makedev, minorOf } from "./kern/vnfile.ts";
import { VPortOps } from "./kern/vportops.ts";
import { charNode, devMount, type DevNode, diskNode } from "./vfs/devfs/devfs.ts";
import { Ext2Mount } from "./vfs/ext2/mount.ts";
import { TmpMount } from "./vfs/tmpfs/tmpfs.ts";
import { namei } from "./vfs/namei.ts";
import type { Vfs } from "./vfs/vfs.ts";
import { VDIR } from "./vfs/vnode.ts";

/** Source of the file systems that show host folders. */
export const SHOWN = "host";
const TTY_MAJOR = 4, TTYAUX_MAJOR = 5, VPORT_MAJOR = 242, ENXIO = 6;

export class Devices {
  readonly disks: VirtioBlk[] = [];
  readonly console: Tty;
  /** Nodes of devices that were found. */
  private readonly nodes: DevNode[] = [];
  private readonly diskFiles = new DiskFiles();
  private readonly k: Kern;
  private readonly uart: Uart;

  constructor(k: Kern) {
    this.k = k;
    this.uart = new Uart(k.hal, (bytes) => this.console.input(bytes), () => !this.console.isFull);
    this.console = new Tty(k, "console", makedev(TTYAUX_MAJOR, 1), (bytes) => this.uart.send(bytes));
    this.console.onRoom = () => this.uart.receive();
    k.cdevsw.set(TTYAUX_MAJOR, function* (kern, vnode, flags, t) {
      return minorOf(vnode.rdev) === 0 ? openControllingTty(kern, vnode, flags, t) : openTty(kern, console, vnode, flags, t);
    });
    k.cdevsw.set(TTY_MAJOR, function* (kern, vnode, flags, t) {
      return openTty(kern, console, vnode, flags, t);
    });
    const console = this.console;
    const mem = memDevices(k);
    k.cdevsw.set(MEM_MAJOR, function* (_kern, vnode, flags) {
      return mem(vnode, flags, minorOf(vnode.rdev));
    });
    const { diskFiles } = this;
    k.openBlock = function* (kern, vnode, flags) {
      return diskFiles.open(kern, vnode, flags);
    };
    for (const d of virtioProbe(k.hal)) {
      if (d.deviceId === VIRTIO_ID_BLK) this.disks.push(new VirtioBlk(k.hal, k.ctx, k.uvm, d, this.disks.length));
      else if (d.deviceId === VIRTIO_ID_CONSOLE && this.nodes.length === 0) this.addPorts(new VPorts(k.hal, k.uvm, d));
    }
    for (const d of this.disks) this.nodes.push(diskNode(d.name, d.rdev));
  }

  private addPorts(ports: VPorts): void {
    const ops = new VPortOps(this.k, ports);
    this.k.cdevsw.set(VPORT_MAJOR, function* (_kern, vnode, flags) {
      return ops.open(vnode, flags, minorOf(vnode.rdev)) ?? -ENXIO;
    });
    for (const p of ports.ports) this.nodes.push(charNode(`vport0p${p.id}`, VPORT_MAJOR, p.id, 0o600));
  }

  /** Text of the kernel itself on the console. */
  print(text: string): void {
    this.uart.send(Uint8Array.from(text, (c) => c.charCodeAt(0)));
  }

  /** Root and the file systems without a disk. => 0, or why there is no root */
  *mountAll(vfs: Vfs): KGen<0 | string> {
    for (const d of this.disks) vfs.blockDevs.set(d.rdev, d);
    const disk = this.disks[0];
    if (!disk) return "there is no disk to boot from";
    const root = yield* Ext2Mount.onDevice(vfs, `/dev/${disk.name}`, disk, 0);
    if (typeof root === "number") return `the root disk cannot be mounted: error ${-root}`;
    const err = yield* vfs.mountRoot(root);
    if (err < 0) return `the root directory cannot be read: error ${-err}`;
    const { k } = this;
    vfs.types.set("proc", function* (v, source, _device, flags) {
      return procMount(k, v, source, flags);
    });
    const { nodes } = this;
    vfs.types.set("devtmpfs", function* (v, source, _device, flags) {
      return devMount(v, source, flags, nodes, ["shm", "pts"]);
    });
    yield* this.mountAt(vfs, "devtmpfs", "/dev");
    vfs.types.set("tmpfs", function* (v, source, _device, flags, data) {
      return TmpMount.make(v, source, flags, data);
    });
    yield* this.mountAt(vfs, "proc", "/proc");
    yield* this.mountAt(vfs, "tmpfs", "/tmp");
    yield* this.mountAt(vfs, "tmpfs", "/run");
    vfs.types.set("ext2", (v, source, device, flags) => Ext2Mount.mount(v, source, device, flags));
    return 0;
  }

  /** A file system in memory at a path, whose directories are made where they are missing. => 0 or -errno */
  *mountShown(vfs: Vfs, path: string): KGen<number> {
    const root = vfs.rootVnode, names = path.split("/").filter((n) => n !== "");
    for (let i = 1; i <= names.length; i++) {
      const found = yield* namei(vfs, root, names.slice(0, i).join("/"), { follow: true, root, cred: { mayAccess: () => true }, create: true });
      if (typeof found === "number") return found;
      let error = 0;
      if (!found.vnode) {
        const dir = yield* found.dir.create(found.leaf, { type: VDIR, mode: 0o755, uid: 0, gid: 0 });
        error = typeof dir === "number" ? dir : 0;
        if (typeof dir !== "number") yield* dir.vrele();
      }
      yield* found.done();
      if (error < 0) return error;
    }
    const found = yield* namei(vfs, root, names.join("/"), { follow: true, root, cred: { mayAccess: () => true } });
    if (typeof found === "number") return found;
    const error = yield* vfs.mount("tmpfs", SHOWN, null, found.vnode!, `/${names.join("/")}`, 0, "");
    yield* found.done();
    return error;
  }

  /** Mounts a file system without a disk; a root that lacks the directory goes without it. */
  private *mountAt(vfs: Vfs, fsType: string, path: string): KGen<void> {
    const root = vfs.rootVnode, dir = yield* root.lookup(path.slice(1));
    if (typeof dir === "number") return this.k.say(`boot: no ${path} to mount ${fsType} on`);
    const err = yield* vfs.mount(fsType, fsType, null, dir, path, 0, "");
    if (err < 0) this.k.say(`boot: ${fsType} cannot be mounted on ${path}: error ${-err}`);
    yield* dir.vrele();
  }
}
