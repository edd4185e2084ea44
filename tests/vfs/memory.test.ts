// A file system whose machine has no page of memory left: the buffer cache goes on with the frames that it reserved.
import { ENOMEM } from "../../kernel/lib/errno.ts";
import { blankImage, FsBox, type RamDev } from "../helpers/fsbox.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("ext2 without memory"), MiB = 1 << 20;

/** A mounted disk with many directories, and then no page that can be had. */
function starved(): { box: FsBox; dev: RamDev } {
  const box = new FsBox(), dev = box.disk(blankImage(4 * MiB));
  assert.ok(typeof box.mountExt2(dev) !== "number");
  for (let i = 0; i < 40; i++) assert.is(box.mkdir(`/d${i}`), 0);
  assert.is(box.unmountRoot(), 0);
  assert.ok(typeof box.mountExt2(dev) !== "number");
  box.uvm.pages.failAlloc = () => true;
  return { box, dev };
}

test("a mount that finds no memory says so, and works once there is some", () => {
  const box = new FsBox(), dev = box.disk(blankImage(MiB));
  box.uvm.pages.failAlloc = () => true;
  assert.is(box.mountExt2(dev), -ENOMEM);
  box.uvm.pages.failAlloc = null;
  assert.ok(typeof box.mountExt2(dev) !== "number");
});

test("names are made, found and removed without a page of memory", () => {
  const { box } = starved();
  for (let i = 0; i < 40; i++) {
    assert.is(box.creat(`/d${i}/file`), 0, `file ${i}`);
    assert.is(box.mkdir(`/d${i}/dir`), 0, `directory ${i}`);
  }
  for (let i = 0; i < 40; i += 2) assert.is(box.unlink(`/d${i}/file`), 0);
  box.uvm.pages.failAlloc = null;
  assert.equal(box.ls("/d1"), ["dir", "file"]);
  assert.is(box.unmountRoot(), 0);
});

test("a disk that refuses writes then costs what was to be written, not the kernel", () => {
  const { box, dev } = starved();
  dev.fails = (write) => write;
  for (let i = 0; i < 40; i++) box.creat(`/d${i}/file`);
  dev.fails = () => false;
  box.uvm.pages.failAlloc = null;
  assert.is(box.mkdir("/again"), 0);
});

test.run();
