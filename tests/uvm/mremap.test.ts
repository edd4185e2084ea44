// mremap: mappings change size and place, and nothing is copied. The random sequences of model/uvm.test.ts do the same in all
// kinds of states; here are the rules one by one.
import { EACCES, EAGAIN, EFAULT, EINVAL, ENOMEM, EPERM } from "../../kernel/lib/errno.ts";
import { RLIMIT_AS, RLIMIT_MEMLOCK } from "../../kernel/kern/rlimit.ts";
import { Cred } from "../../kernel/kern/cred.ts";
import { MM_CALLS } from "../../kernel/sys/mm.ts";
import { lockedBytes, MLOCK_CALLS } from "../../kernel/sys/mlock.ts";
import { uaoCreate } from "../../kernel/uvm/aobj.ts";
import { vmcheck } from "../../kernel/uvm/check.ts";
import { udvAttach } from "../../kernel/uvm/device.ts";
import { ADV_RANDOM, INH_NONE, INH_SHARE } from "../../kernel/uvm/mapentry.ts";
import { uvmMapProtect } from "../../kernel/uvm/mapops.ts";
import { uvmMapPageable } from "../../kernel/uvm/mapwire.ts";
import { type RemapRequest, uvmMremap } from "../../kernel/uvm/mremap.ts";
import { uvmMapStack } from "../../kernel/uvm/stack.ts";
import { VM_MAX_USER, type Vmspace } from "../../kernel/uvm/vmspace.ts";
import { bootVm, MODES, modeName, PAGE, R, RW, type TestVm } from "../helpers/bootvm.ts";
import { KernBox } from "../helpers/kernbox.ts";
import { assert, suite } from "../helpers/suite.ts";
import { TestFile } from "../helpers/testfile.ts";

const VA = 0x400000, TO = 0x40000000, MB = 1 << 20;

/** mremap of `n` pages to `m` pages at TO, unless told otherwise. */
function remap(t: TestVm, vm: Vmspace, n: number, m: number, more: Partial<RemapRequest> = {}): number {
  return t.run(uvmMremap(vm.map, { from: VA, oldSize: n * PAGE, size: m * PAGE, to: TO, fixed: true, mayMove: true, keepOld: false, ...more }));
}

const IN_PLACE = { to: 0, fixed: false, mayMove: false };

for (const mode of MODES) {
  const test = suite(`uvm mremap (${modeName(mode)})`);

  test("pages keep their frames and their mappings: no copy, no fault, no allocation but for a table", () => {
    const t = bootVm(mode), vm = t.space();
    t.map(vm, VA, 8);
    t.map(vm, TO + 2 * MB, 1);
    t.store(vm, TO + 2 * MB, 1);
    for (let i = 0; i < 8; i += 2) t.store(vm, VA + i * PAGE, i + 1);
    const frames = [0, 2, 4, 6].map((i) => t.pageAt(vm, VA + i * PAGE));
    const d = t.delta(() => assert.is(remap(t, vm, 8, 8), TO));
    assert.is(d.pgalloc ?? 0, 1, "one table page");
    assert.equal([0, 2, 4, 6].map((i) => t.pageAt(vm, TO + i * PAGE)), frames);
    assert.is(t.rights(vm, VA), "");
    assert.is(t.rights(vm, TO), "RW");
    t.check();
    assert.ok(t.load(vm, VA) < 0);
    for (let i = 0; i < 8; i++) assert.is(t.load(vm, TO + i * PAGE), i % 2 === 0 ? i + 1 : 0);
    t.check();
    t.free(vm);
    assert.is(t.uvm.anons.count, 0);
  });

  test("a page in the middle goes, and comes back between its neighbours: one entry again", () => {
    const t = bootVm(mode), vm = t.space();
    t.map(vm, VA, 3);
    for (let i = 0; i < 3; i++) t.store(vm, VA + i * PAGE, i + 1);
    assert.is(remap(t, vm, 1, 1, { from: VA + PAGE }), TO);
    t.check();
    assert.is(vm.map.nentries, 3);
    assert.is(remap(t, vm, 1, 1, { from: TO, to: VA + PAGE }), VA + PAGE);
    assert.is(vm.map.nentries, 1);
    assert.equal([0, 1, 2].map((i) => t.load(vm, VA + i * PAGE)), [1, 2, 3]);
    t.check();
  });

  test("after a fork each side moves and keeps its own bytes", () => {
    const t = bootVm(mode), vm = t.space();
    t.map(vm, VA, 4);
    for (let i = 0; i < 4; i++) t.store(vm, VA + i * PAGE, 10 + i);
    const child = t.fork(vm);
    remap(t, vm, 4, 4);
    t.check();
    assert.is(t.load(child, VA + PAGE), 11);
    t.store(child, VA + PAGE, 99);
    t.store(vm, TO + 2 * PAGE, 77);
    t.check();
    remap(t, child, 4, 6);
    assert.equal([0, 1, 2, 3].map((i) => t.load(vm, TO + i * PAGE)), [10, 11, 77, 13]);
    assert.equal([0, 1, 2, 3, 4, 5].map((i) => t.load(child, TO + i * PAGE)), [10, 99, 12, 13, 0, 0]);
    t.check();
    t.free(vm, child);
    assert.is(t.uvm.anons.count, 0);
  });

  test("locked memory stays locked at its new place, and so does what it grows by; a kept old place does not", () => {
    const t = bootVm(mode), vm = t.space();
    t.map(vm, VA, 4);
    assert.is(t.run(uvmMapPageable(vm.map, VA, VA + 4 * PAGE, { wire: true })), 0);
    assert.is(remap(t, vm, 4, 6), TO);
    t.check();
    assert.is(t.exp.wired, 6);
    assert.is(vm.map.pmap.wiredCount, 6);
    for (let i = 0; i < 6; i++) assert.is(t.rights(vm, TO + i * PAGE), "RW", "no fault is needed");
    assert.is(remap(t, vm, 2, 2, { from: TO, to: VA, keepOld: true }), VA);
    t.check();
    assert.is(t.exp.wired, 6);
    assert.is(vm.map.lookup(TO)!.wiredCount, 0);
    assert.is(t.run(uvmMapPageable(vm.map, VA, VA + 2 * PAGE, { wire: false })), 0);
    assert.is(t.exp.wired, 4);
    t.check();
    t.free(vm);
    assert.is(t.exp.wired, 0);
  });

  test("without a table for the new place a mapping is lost, and comes back by a fault", () => {
    const t = bootVm(mode), vm = t.space();
    t.map(vm, VA, 3);
    for (let i = 0; i < 3; i++) t.store(vm, VA + i * PAGE, i + 1);
    assert.is(t.run(uvmMapPageable(vm.map, VA, VA + 2 * PAGE, { wire: true })), 0);
    t.mmu.failPmapEnter(() => true);
    assert.is(remap(t, vm, 2, 2), TO);
    t.mmu.failPmapEnter(null);
    assert.is(t.rights(vm, TO), "");
    t.check();
    assert.equal([0, 1].map((i) => t.load(vm, TO + i * PAGE)), [1, 2]);
    t.check();
    assert.is(t.run(uvmMapPageable(vm.map, TO, TO + 2 * PAGE, { wire: false })), 0);
    assert.is(t.exp.wired, 0);
    t.check();
  });

  test.run();
}

const test = suite("uvm mremap rules");

test("shared memory and files are the same at the new place", () => {
  const t = bootVm(), vm = t.space(), file = new TestFile(t, 8), other = t.space();
  file.vref();
  file.vref();
  t.map(vm, VA, 4, { uobj: file.uobj, offset: 2 * PAGE, copyOnWrite: false, inherit: INH_SHARE });
  t.map(other, VA, 8, { uobj: file.uobj, copyOnWrite: false, inherit: INH_SHARE });
  t.store(vm, VA, 100);
  assert.is(remap(t, vm, 2, 5, { from: VA + PAGE }), TO);
  assert.equal([0, 1, 2, 3, 4].map((i) => t.load(vm, TO + i * PAGE)), [4, 5, 6, 7, 8], "grown over the file");
  t.store(vm, TO + PAGE, 55);
  assert.equal([0, 1, 2, 3, 4].map((i) => t.load(other, VA + i * PAGE)), [1, 2, 100, 4, 55]);
  t.check();
  t.free(vm, other);
  assert.is(file.refs, 1);
});

test("a private mapping of a file keeps its stores, and grows by the file's pages", () => {
  const t = bootVm(), vm = t.space(), file = new TestFile(t, 4);
  file.vref();
  t.map(vm, VA, 2, { uobj: file.uobj, copyOnWrite: true });
  t.store(vm, VA, 50);
  assert.is(remap(t, vm, 2, 3, IN_PLACE), VA);
  t.check();
  assert.equal([0, 1, 2].map((i) => t.load(vm, VA + i * PAGE)), [50, 2, 3]);
  assert.is(remap(t, vm, 3, 4), TO, "pieces of one mapping move together");
  assert.equal([0, 1, 2, 3].map((i) => t.load(vm, TO + i * PAGE)), [50, 2, 3, 4]);
  assert.is(remap(t, vm, 4, 4, { from: TO, to: VA, keepOld: true }), VA);
  assert.equal([0, 1].map((i) => t.load(vm, VA + i * PAGE)), [50, 2]);
  assert.equal([0, 1].map((i) => t.load(vm, TO + i * PAGE)), [1, 2], "the old place shows the file");
  t.check();
});

test("old size 0 doubles shared memory, and only that", () => {
  const t = bootVm(), vm = t.space();
  t.map(vm, VA, 4, { uobj: uaoCreate(t.uvm, 4 * PAGE), copyOnWrite: false, inherit: INH_SHARE });
  t.store(vm, VA + 2 * PAGE, 9);
  assert.is(remap(t, vm, 0, 2, { from: VA + 2 * PAGE }), TO);
  t.store(vm, TO + PAGE, 8);
  assert.equal([t.load(vm, TO), t.load(vm, VA + 3 * PAGE)], [9, 8]);
  t.check();
  assert.is(remap(t, vm, 0, 2, { from: VA + 2 * PAGE, to: VA }), VA, "over a part of itself");
  assert.equal([t.load(vm, VA), t.load(vm, VA + PAGE)], [9, 8]);
  t.check();
  assert.is(remap(t, vm, 0, 4, { from: VA + 2 * PAGE, to: VA + 2 * PAGE }), -EFAULT, "over all of itself");
  t.map(vm, VA, 1);
  assert.is(remap(t, vm, 0, 1), -EINVAL);
  t.check();
});

test("grows in place where there is room, moves where there is none, and says ENOMEM when it may not", () => {
  const t = bootVm(), vm = t.space();
  t.map(vm, VA, 2);
  t.store(vm, VA + PAGE, 5);
  t.map(vm, VA + 4 * PAGE, 1, { noMerge: true });
  assert.is(remap(t, vm, 2, 4, IN_PLACE), VA);
  assert.is(remap(t, vm, 4, 5, IN_PLACE), -ENOMEM);
  assert.is(remap(t, vm, 1, 2, IN_PLACE), -ENOMEM, "its own next page is in the way");
  const to = remap(t, vm, 4, 5, { to: 0, fixed: false });
  assert.is(to, VM_MAX_USER - 5 * PAGE);
  assert.equal([0, 1, 2].map((i) => t.load(vm, to + i * PAGE)), [0, 5, 0]);
  assert.is(remap(t, vm, 5, 2 ** 38 / PAGE, { from: to, to: 0, fixed: false }), -ENOMEM);
  assert.is(remap(t, vm, 5, 2, { from: to, ...IN_PLACE }), to);
  assert.is(vm.map.size, 3 * PAGE);
  t.check();
});

test("the range must be one mapping, whole", () => {
  const t = bootVm(), vm = t.space();
  t.map(vm, VA, 4);
  assert.is(remap(t, vm, 5, 6), -EFAULT);
  assert.is(remap(t, vm, 1, 2, { from: VA + 4 * PAGE }), -EFAULT);
  assert.is(t.run(uvmMapProtect(vm.map, VA + 2 * PAGE, VA + 4 * PAGE, R)), 0);
  assert.is(remap(t, vm, 4, 4), -EFAULT, "two, as their rights differ");
  assert.is(remap(t, vm, 4, 2, IN_PLACE), VA, "to shrink is to unmap");
  assert.is(remap(t, vm, 2, 1, { from: VA + 2 * PAGE, ...IN_PLACE }), -EFAULT);
  t.check();
  t.map(vm, VA, 1, { uobj: udvAttach(t.uvm, { uvm: t.uvm, mmap: () => 0x80000000 }), copyOnWrite: false });
  assert.is(remap(t, vm, 1, 2), -EFAULT, "registers do not grow");
  assert.is(remap(t, vm, 1, 1, { keepOld: true }), -EINVAL);
  assert.is(remap(t, vm, 1, 1), TO);
  t.check();
});

test("a place and a smaller size: what is behind the new end goes, whatever it is", () => {
  const t = bootVm(), vm = t.space();
  t.map(vm, VA, 4);
  for (let i = 0; i < 4; i++) t.store(vm, VA + i * PAGE, i + 1);
  assert.is(t.run(uvmMapProtect(vm.map, VA + 2 * PAGE, VA + 3 * PAGE, R)), 0);
  t.map(vm, TO, 3);
  t.store(vm, TO + PAGE, 99);
  t.store(vm, TO + 2 * PAGE, 100);
  assert.is(remap(t, vm, 4, 2), TO, "only what moves must be one mapping");
  assert.equal([0, 1, 2].map((i) => t.load(vm, TO + i * PAGE)), [1, 2, 100]);
  assert.is(vm.map.size, 3 * PAGE);
  t.check();
});

test("what an entry says of its memory moves with it", () => {
  const t = bootVm(), vm = t.space(), file = new TestFile(t, 8);
  file.vref();
  t.map(vm, VA, 4, { uobj: file.uobj, offset: PAGE, copyOnWrite: true, prot: R, maxprot: R, inherit: INH_NONE, advice: ADV_RANDOM });
  assert.is(remap(t, vm, 2, 4, { from: VA + PAGE }), TO);
  const { protection, maxProtection, inheritance, advice, offset, etype } = vm.map.lookup(TO)!;
  assert.equal([protection, maxProtection, inheritance, advice, offset, etype], [R, R, INH_NONE, ADV_RANDOM, 2 * PAGE, vm.map.lookup(VA)!.etype]);
  assert.equal([0, 1, 2, 3].map((i) => t.load(vm, TO + i * PAGE)), [3, 4, 5, 6]);
  assert.is(t.run(uvmMapProtect(vm.map, TO, TO + PAGE, RW)), -EACCES);
  t.check();
  t.free(vm);
  assert.is(file.refs, 1);
});

test("memory grows to the last page there is, and not past it; an object's offsets stay numbers", () => {
  const t = bootVm(), vm = t.space(), { max } = vm.map, last = max - 2 * PAGE;
  t.map(vm, last, 1);
  assert.is(remap(t, vm, 1, 3, { from: last, ...IN_PLACE }), -ENOMEM);
  assert.is(remap(t, vm, 1, 2, { from: last, ...IN_PLACE }), last);
  assert.is(t.store(vm, max - PAGE, 1), 0);
  assert.is(remap(t, vm, 2, 3, { from: last, to: 0, fixed: false }), last - PAGE - 2 * PAGE, "below itself");
  assert.is(t.load(vm, last - 2 * PAGE), 1);
  t.map(vm, VA, 2, { uobj: uaoCreate(t.uvm, 2 * PAGE), offset: 2 ** 52 - 2 * PAGE, copyOnWrite: false, inherit: INH_SHARE });
  assert.is(remap(t, vm, 2, 3), -EINVAL);
  assert.is(remap(t, vm, 2, 2), TO);
  t.check();
});

test("a stack that moves grows at its new place", () => {
  const t = bootVm(), vm = t.space(), top = 0x30000000;
  assert.is(t.run(uvmMapStack(vm, top, 100 * PAGE, RW)), 0);
  const { start } = vm.map.stack!, n = (top - start) / PAGE;
  t.store(vm, top - PAGE, 5);
  assert.is(remap(t, vm, 1, 1, { from: start, to: VA }), VA, "a part of it is no stack");
  assert.is(remap(t, vm, 1, 1, { from: VA, to: start }), start);
  assert.is(remap(t, vm, n, n, { from: start }), TO);
  const newTop = TO + n * PAGE;
  assert.equal([vm.map.stack!.top, vm.map.stack!.low], [newTop, newTop - 100 * PAGE]);
  assert.is(t.store(vm, newTop - 100 * PAGE, 7), 0);
  assert.ok(t.store(vm, newTop - 101 * PAGE, 7) < 0);
  assert.ok(t.store(vm, start - PAGE, 7) < 0, "not at the old one");
  assert.equal([t.load(vm, newTop - PAGE), vm.map.size], [5, 100 * PAGE]);
  t.check();
});

test("a large mapping that has become many entries moves as one", () => {
  const t = bootVm({ npages: 2048 }), vm = t.space(), n = 2000;
  t.map(vm, VA, n);
  for (let i = 0; i < n; i += 97) t.store(vm, VA + i * PAGE, i & 127);
  assert.ok(vm.map.nentries > 10);
  assert.is(remap(t, vm, n, n + 100000), TO);
  t.check();
  for (let i = 0; i < n; i += 97) assert.is(t.load(vm, TO + i * PAGE), i & 127);
  assert.is(t.store(vm, TO + (n + 99999) * PAGE, 1), 0);
  assert.ok([...t.uvm.amaps].reduce((sum, am) => sum + am.nslot, 0) < 3000, "room that nobody touched has no slots");
  t.check();
});

// ---- the system call -----------------------------------------------------------------------------------------------

const MREMAP = 216, MMAP = 222, MLOCK = 228, MAYMOVE = 1, FIXED = 2, DONTUNMAP = 4, ROWS = [...MM_CALLS, ...MLOCK_CALLS];

class RemapBox extends KernBox {
  call(nr: number, ...args: number[]): number {
    return this.run(this.syscall(ROWS, nr, this.me.mainThread, ...args));
  }

  mmap(npages: number, flags = 0x22): number {
    return this.call(MMAP, 0, npages * PAGE, 3, flags, -1, 0);
  }
}

test("mremap(2) refuses what Linux refuses", () => {
  const box = new RemapBox(), va = box.mmap(4), { max } = box.me.vmspace.map;
  const bad = (error: number, from: number, oldLen: number, len: number, flags: number, to = 0): void => assert.is(box.call(MREMAP, from, oldLen, len, flags, to), -error);
  bad(EINVAL, va + 1, PAGE, PAGE, MAYMOVE);
  bad(EINVAL, va, PAGE, 0, MAYMOVE);
  bad(EINVAL, va, PAGE, PAGE, 8 | MAYMOVE);
  bad(EINVAL, va, PAGE, PAGE, FIXED, TO);
  bad(EINVAL, va, PAGE, 2 * PAGE, MAYMOVE | DONTUNMAP);
  bad(EINVAL, va, PAGE, PAGE, DONTUNMAP);
  bad(EINVAL, va, 4 * PAGE, 4 * PAGE, MAYMOVE | FIXED, TO + 5);
  bad(EINVAL, va, 4 * PAGE, 4 * PAGE, MAYMOVE | FIXED, va + 3 * PAGE);
  bad(EINVAL, va, 4 * PAGE, 4 * PAGE, MAYMOVE | FIXED, va);
  bad(EINVAL, va, 4 * PAGE, 4 * PAGE, MAYMOVE | FIXED, max - PAGE);
  bad(EINVAL, va, 4 * PAGE, 2 ** 40, MAYMOVE | FIXED, TO);
  bad(ENOMEM, va, 4 * PAGE, 2 ** 40, MAYMOVE);
  bad(EPERM, va, PAGE, PAGE, MAYMOVE | FIXED, 0);
  bad(EINVAL, va, 0, PAGE, MAYMOVE);
  bad(EFAULT, TO, PAGE, PAGE, 0);
  bad(EFAULT, TO, PAGE, 2 * PAGE, MAYMOVE);
  bad(EFAULT, TO, 0, 2 * PAGE, MAYMOVE);
  assert.is(box.call(MREMAP, va, 4 * PAGE - 5, 4 * PAGE - 9, 0), va, "sizes are rounded up");
  assert.is(box.call(MREMAP, va, 4 * PAGE, 4 * PAGE, MAYMOVE | DONTUNMAP, TO), TO);
  const twice = box.mmap(1, 0x21);
  assert.is(box.call(MREMAP, twice, 0, PAGE, 0), -ENOMEM, "to double is to move");
  assert.ok(box.call(MREMAP, twice, 0, PAGE, MAYMOVE) > 0);
});

test("limits: what a moved mapping replaces is not counted, what it leaves behind is; locked memory grows within RLIMIT_MEMLOCK", () => {
  const box = new RemapBox(), { map } = box.me.vmspace, a = box.mmap(4), b = box.mmap(8);
  box.me.limits.set(RLIMIT_AS, map.size, Infinity);
  assert.is(box.call(MREMAP, a, 4 * PAGE, 5 * PAGE, MAYMOVE), -ENOMEM);
  assert.is(box.call(MREMAP, a, 4 * PAGE, 4 * PAGE, MAYMOVE | DONTUNMAP, TO), -ENOMEM);
  assert.is(box.call(MREMAP, a, 4 * PAGE, 5 * PAGE, MAYMOVE | FIXED, b), b);
  box.me.limits.set(RLIMIT_AS, Infinity, Infinity);
  assert.is(box.call(MLOCK, b, 5 * PAGE), 0);
  box.me.cred = new Cred(1000, 1000, 1000, 1000, 1000, 1000);
  box.me.limits.set(RLIMIT_MEMLOCK, 6 * PAGE, Infinity);
  assert.is(box.call(MREMAP, b, 5 * PAGE, 7 * PAGE, MAYMOVE), -EAGAIN);
  assert.is(box.call(MREMAP, b, 5 * PAGE, 7 * PAGE, 0), -EAGAIN, "before it is known that there is no room");
  const c = box.call(MREMAP, b, 5 * PAGE, 6 * PAGE, MAYMOVE);
  assert.ok(c > 0);
  assert.is(box.call(MREMAP, c, 6 * PAGE, 6 * PAGE, MAYMOVE | DONTUNMAP, TO), TO, "no more is locked than before");
  assert.is(lockedBytes(map), 6 * PAGE);
  assert.is(box.call(MREMAP, TO, 5 * PAGE, 6 * PAGE, MAYMOVE | FIXED, TO + 16 * PAGE), -EAGAIN);
  assert.is(box.call(MREMAP, TO, 5 * PAGE, 6 * PAGE, MAYMOVE | FIXED, TO + 5 * PAGE), TO + 5 * PAGE, "a locked page goes, and another comes");
  assert.is(lockedBytes(map), 6 * PAGE);
  assert.equal(vmcheck(box.uvm), []);
});

test.run();
