// Device nodes of a file system that is mounted without devices are names, no devices.
import { O_PATH, O_RDONLY } from "../../kernel/kern/file.ts";
import { EACCES } from "../../kernel/lib/errno.ts";
import { MNT_NODEV } from "../../kernel/vfs/mount.ts";
import { VCHR } from "../../kernel/vfs/vnode.ts";
import { KernBox } from "../helpers/kernbox.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("nodev");

test("a device on a file system mounted with nodev cannot be opened, but its name can", () => {
  const box = new KernBox(), { mount } = box.k.vfs.rootVnode;
  box.mknod("/null", VCHR, 0o666);
  mount.flags |= MNT_NODEV;
  assert.is(box.run(box.opening("/null", O_RDONLY)), -EACCES);
  assert.ok(box.run(box.opening("/null", O_PATH)) >= 0);
  mount.flags &= ~MNT_NODEV;
  assert.is.not(box.run(box.opening("/null", O_RDONLY)), -EACCES);
});

test.run();
