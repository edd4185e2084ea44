// Maps: placing, replacing, splitting, protecting, wiring, and the kernel's own memory (uvm-spec 3.15, 3.24, 7).
import { EACCES, EAGAIN, EBUSY, EEXIST, EFAULT, EINVAL, ENOMEM } from "../../kernel/lib/errno.ts";
import { udvAttach } from "../../kernel/uvm/device.ts";
import { uvmKmAlloc, uvmKmFree } from "../../kernel/uvm/km.ts";
import { uvmMapClean, uvmMapDiscard } from "../../kernel/uvm/mapclean.ts";
import { uvmMapInherit, uvmMapProtect, uvmMapResident } from "../../kernel/uvm/mapops.ts";
import { uvmMapPageable } from "../../kernel/uvm/mapwire.ts";
import { uvmMap } from "../../kernel/uvm/mmap.ts";
import { PGO_CLEANIT, PGO_FREE, PGO_SYNCIO } from "../../kernel/uvm/object.ts";
import { PRIV_KMEM } from "../../kernel/uvm/page.ts";
import { uvmUnmap } from "../../kernel/uvm/unmap.ts";
import { uvmGrowStack, uvmMapStack, uvmStackLimit } from "../../kernel/uvm/stack.ts";
import { VM_MAX_USER } from "../../kernel/uvm/vmspace.ts";
import { bootVm, PAGE, R, RW, X } from "../helpers/bootvm.ts";
import { assert, suite } from "../helpers/suite.ts";
import { TestFile } from "../helpers/testfile.ts";

const test = suite("uvm map");
const VA = 0x100000, FREE = { va: 0, size: PAGE, prot: RW, maxprot: 7, copyOnWrite: true };

test("memory without a place goes below what is there, from the top", () => {
  const t = bootVm(), vm = t.space();
  const a = t.run(uvmMap(vm.map, { ...FREE, size: 4 * PAGE, noMerge: true }));
  assert.is(a, VM_MAX_USER - 4 * PAGE);
  const b = t.run(uvmMap(vm.map, { ...FREE, size: 2 * PAGE, noMerge: true }));
  assert.is(b, a - 2 * PAGE);
  t.unmap(vm, a, 2);
  assert.is(t.run(uvmMap(vm.map, { ...FREE, size: 2 * PAGE, noMerge: true })), a, "the highest hole that fits");
  assert.is(t.run(uvmMap(vm.map, { ...FREE, va: VA + 5, noMerge: true })), VA, "a free hint is taken");
  assert.is(t.run(uvmMap(vm.map, { ...FREE, va: VA, noMerge: true })), b - PAGE, "a taken hint is not");
  t.check();
});

test("fixed mappings replace, or refuse, or do not fit", () => {
  const t = bootVm(), vm = t.space();
  t.map(vm, VA, 4);
  for (let i = 0; i < 4; i++) t.store(vm, VA + i * PAGE, i + 1);
  assert.is(t.map(vm, VA + PAGE, 2, { noReplace: true }), -EEXIST);
  assert.is(t.load(vm, VA + PAGE), 2);
  assert.is(t.map(vm, VA + PAGE, 2), VA + PAGE);
  assert.equal([0, 1, 2, 3].map((i) => t.load(vm, VA + i * PAGE)), [1, 0, 0, 4]);
  assert.is(t.map(vm, 0, 1), -EINVAL);
  assert.is(t.map(vm, VM_MAX_USER, 1), -EINVAL);
  assert.is(t.run(uvmMap(vm.map, { ...FREE, size: 2 ** 38 })), -ENOMEM);
  t.check();
});

test("a thousand mappings, half of them taken away, keep tree and list in order", () => {
  const t = bootVm({ npages: 2048 }), vm = t.space();
  let seed = 7;
  for (let i = 0; i < 1000; i++) {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    const at = VA + ((seed >> 7) % 5000) * PAGE, n = 1 + ((seed >> 3) % 7);
    if ((i & 1) === 0) t.map(vm, at, n, { noMerge: true });
    else t.unmap(vm, at, n);
    if (i % 100 === 0) t.check();
  }
  t.check();
  assert.is(t.unmap(vm, VA, 6000), 0);
  assert.is(vm.map.size, 0);
  t.check();
});

test("unmapping over holes is fine, outside the map it is EINVAL", () => {
  const t = bootVm(), vm = t.space();
  t.map(vm, VA, 2);
  t.map(vm, VA + 8 * PAGE, 2);
  assert.is(t.unmap(vm, VA + PAGE, 8), 0);
  assert.is(vm.map.size, 2 * PAGE);
  assert.is(t.run(uvmUnmap(vm.map, 0, PAGE)), -EINVAL);
  assert.is(t.run(uvmUnmap(vm.map, VA, 2 ** 39)), -EINVAL);
  t.check();
});

test("protection is checked whole before anything changes", () => {
  const t = bootVm(), vm = t.space();
  t.map(vm, VA, 4);
  t.map(vm, VA + 4 * PAGE, 2, { prot: R, maxprot: R, noMerge: true });
  t.store(vm, VA, 1);
  assert.is(t.run(uvmMapProtect(vm.map, VA, VA + 6 * PAGE, RW)), -EACCES);
  assert.is(t.run(uvmMapProtect(vm.map, VA, VA + 8 * PAGE, R)), -ENOMEM);
  assert.is(t.store(vm, VA, 2), 0);
  assert.is(t.run(uvmMapProtect(vm.map, VA, VA + 2 * PAGE, R)), 0);
  assert.is(t.rights(vm, VA), "R");
  assert.is(t.store(vm, VA, 3), -EACCES);
  assert.is(t.load(vm, VA), 2);
  assert.is(t.run(uvmMapProtect(vm.map, VA, VA + PAGE, 0)), 0);
  assert.is(t.load(vm, VA), -EACCES);
  assert.is(t.run(uvmMapProtect(vm.map, VA, VA + PAGE, R | X)), 0);
  assert.is(t.load(vm, VA), 2);
  assert.is(t.run(uvmMapProtect(vm.map, VA, VA + PAGE, RW, { setMax: true })), 0);
  assert.is(t.run(uvmMapProtect(vm.map, VA, VA + PAGE, X)), -EACCES);
  t.check();
});

test("wiring a hole or forbidden memory is ENOMEM, and what failed half-way is undone", () => {
  const t = bootVm({ npages: 128 }), vm = t.space(), wire = (from: number, n: number): number =>
    t.run(uvmMapPageable(vm.map, from, from + n * PAGE, { wire: true }));
  t.map(vm, VA, 2);
  t.map(vm, VA + 3 * PAGE, 200);
  t.map(vm, VA * 4, 1, { prot: 0 });
  assert.is(wire(VA, 4), -ENOMEM);
  assert.is(wire(VA * 4, 1), -ENOMEM);
  assert.is(wire(VA + 3 * PAGE, 200), -EAGAIN, "more than a third of memory");
  t.exp.wiredmax = 1000;
  assert.is(wire(VA + 3 * PAGE, 200), -ENOMEM, "not enough memory");
  assert.is(t.exp.wired, 0);
  t.check();
  t.unmap(vm, VA + 3 * PAGE, 200);
  assert.is(wire(VA, 2), 0);
  assert.is(wire(VA, 2), 0);
  assert.is(t.exp.wired, 2);
  assert.is(t.run(uvmMapPageable(vm.map, VA, VA + 2 * PAGE, { wire: false })), 0, "one unwiring undoes them all");
  assert.is(t.exp.wired, 0);
  assert.is(t.run(uvmMapPageable(vm.map, VA, VA + PAGE, { wire: false })), -ENOMEM);
  t.check();
});

test("wired memory that is forbidden and unmapped is unwired all the same", () => {
  const t = bootVm(), vm = t.space();
  t.map(vm, VA, 3);
  t.run(uvmMapPageable(vm.map, VA, VA + 3 * PAGE, { wire: true }));
  t.run(uvmMapProtect(vm.map, VA, VA + 3 * PAGE, 0));
  t.check();
  t.unmap(vm, VA, 3);
  assert.is(t.exp.wired, 0);
  t.check();
});

test("msync writes dirty pages, and MS_INVALIDATE drops them", () => {
  const t = bootVm(), vm = t.space(), file = new TestFile(t, 4);
  file.vref();
  t.map(vm, VA, 4, { uobj: file.uobj, copyOnWrite: false });
  t.store(vm, VA + PAGE, 99);
  assert.is(t.run(uvmMapClean(vm.map, VA, VA + 4 * PAGE, PGO_CLEANIT | PGO_SYNCIO)), 0);
  assert.is(file.writes, 1);
  assert.is(file.bytes[PAGE], 99);
  t.store(vm, VA + PAGE, 98);
  assert.is(t.run(uvmMapClean(vm.map, VA, VA + 4 * PAGE, PGO_CLEANIT | PGO_FREE)), 0);
  assert.is(file.bytes[PAGE], 98, "a second store makes the page dirty again");
  assert.is(file.uobj.npages, 0);
  assert.is(t.load(vm, VA + PAGE), 98);
  assert.is(t.run(uvmMapClean(vm.map, VA, VA + 5 * PAGE, PGO_CLEANIT)), -EFAULT);
  t.run(uvmMapPageable(vm.map, VA, VA + PAGE, { wire: true }));
  assert.is(t.run(uvmMapClean(vm.map, VA, VA + PAGE, PGO_CLEANIT | PGO_FREE)), -EBUSY);
  t.free(vm);
  t.check();
  assert.is(file.refs, 1);
});

test("freed anonymous memory reads as zeros, but not what others share", () => {
  const t = bootVm(), vm = t.space();
  t.map(vm, VA, 4);
  for (let i = 0; i < 4; i++) t.store(vm, VA + i * PAGE, i + 1);
  assert.is(t.run(uvmMapClean(vm.map, VA, VA + 2 * PAGE, PGO_FREE)), 0);
  assert.equal([0, 1, 2, 3].map((i) => t.load(vm, VA + i * PAGE)), [0, 0, 3, 4]);
  const child = t.fork(vm);
  assert.is(t.run(uvmMapClean(child.map, VA, VA + 4 * PAGE, PGO_FREE)), 0);
  assert.is(t.load(child, VA + 2 * PAGE), 3);
  t.check();
  assert.is(t.run(uvmMapDiscard(child.map, VA, VA + 4 * PAGE)), 0);
  assert.equal([2, 3].map((i) => t.load(child, VA + i * PAGE)), [0, 0], "Linux's DONTNEED discards whatever others hold");
  assert.equal([2, 3].map((i) => t.load(vm, VA + i * PAGE)), [3, 4]);
  t.check();
});

test("discarding a private file mapping shows the file again", () => {
  const t = bootVm(), vm = t.space(), file = new TestFile(t, 2);
  file.vref();
  t.map(vm, VA, 2, { uobj: file.uobj, copyOnWrite: true });
  t.store(vm, VA, 99);
  assert.is(t.run(uvmMapDiscard(vm.map, VA, VA + 2 * PAGE)), 0);
  assert.is(t.load(vm, VA), 1);
  t.check();
});

test("mincore tells what is resident, of files and of private memory", () => {
  const t = bootVm(), vm = t.space(), file = new TestFile(t, 2), out = new Uint8Array(4);
  t.map(vm, VA, 2);
  file.vref();
  t.map(vm, VA + 2 * PAGE, 2, { uobj: file.uobj, copyOnWrite: false, advice: 1 });
  t.store(vm, VA + PAGE, 1);
  t.load(vm, VA + 2 * PAGE);
  assert.is(t.run(uvmMapResident(vm.map, VA, VA + 4 * PAGE, out)), 0);
  assert.equal([...out], [0, 1, 1, 0]);
  assert.is(t.run(uvmMapResident(vm.map, VA, VA + 5 * PAGE, new Uint8Array(5))), -ENOMEM);
  t.check();
});

test("the stack grows to where it is touched, as far as its limit, and costs what is touched", () => {
  const t = bootVm(), vm = t.space(), top = VM_MAX_USER, size = 2048 * PAGE;
  assert.is(t.run(uvmMapStack(vm, top, size, RW)), 0);
  for (let i = 1; i <= 40; i++) t.store(vm, top - i * PAGE, i);
  assert.is(t.exp.anonpages, 40);
  assert.ok(vm.map.nentries <= 2, "chunks join as the stack grows down");
  t.store(vm, top - size, 1);
  assert.equal([vm.map.stack!.start, vm.map.size, t.exp.anonpages], [top - size, size, 41]);
  assert.is(t.load(vm, top - size - PAGE), -EFAULT);
  t.check();
});

test("the stack keeps a gap to what a program mapped below it; limits move while it runs, and a fork has its own", () => {
  const t = bootVm(), vm = t.space(), top = VM_MAX_USER, MB = 256 * PAGE;
  t.run(uvmMapStack(vm, top, 8 * MB, RW));
  assert.is(t.run(uvmMap(vm.map, { va: 0, size: MB, prot: RW, maxprot: 7, copyOnWrite: true })), top - 130 * MB - MB, "mappings leave it room");
  t.map(vm, top - 4 * MB, 1);
  t.store(vm, top - 2 * MB, 1);
  assert.is(t.store(vm, top - 3 * MB, 1), -EFAULT, "nearer than the gap");
  t.store(vm, top - 4 * MB, 1);
  t.unmap(vm, top - 4 * MB, 1);
  uvmStackLimit(vm, 3 * MB);
  assert.is(t.store(vm, top - 3 * MB - PAGE, 1), -EFAULT, "lowered");
  const child = t.fork(vm);
  uvmStackLimit(child, 16 * MB);
  t.store(child, top - 12 * MB, 1);
  t.store(vm, top - 3 * MB, 1);
  assert.equal([vm.map.stack!.start, child.map.stack!.start], [top - 3 * MB, top - 12 * MB]);
  assert.is(t.run(uvmGrowStack(vm.map, top - PAGE)), 0, "another thread was faster");
  vm.map.sizeLimit = vm.map.size;
  uvmStackLimit(vm, 16 * MB);
  assert.is(t.store(vm, top - 3 * MB - PAGE, 1), -EFAULT, "RLIMIT_AS");
  t.check();
});

test("a stack limit that is no multiple of a page is rounded down, and need not be what a stack begins with", () => {
  for (const limit of [32 * PAGE + 100, PAGE, Infinity]) {
    const t = bootVm(), vm = t.space(), size = Math.min(33, Math.floor(limit / PAGE)) * PAGE;
    assert.is(t.run(uvmMapStack(vm, VM_MAX_USER, limit, RW)), 0);
    assert.equal([vm.map.size, vm.map.stack!.start], [size, VM_MAX_USER - size]);
    assert.is(t.store(vm, VM_MAX_USER - size - PAGE, 1), limit === Infinity ? 0 : -EFAULT);
    assert.ok(t.run(uvmMap(vm.map, { va: 0, size: PAGE, prot: RW, maxprot: 7, copyOnWrite: true })) > 0);
    t.check();
  }
});

test("kernel memory has no owner, is found by its mapping, and cannot be freed twice (T-KM-1, T-KM-2)", () => {
  const t = bootVm(), { uvm } = t;
  // What does not fit is undone, but for kernel page tables, which stay.
  assert.is(uvmKmAlloc(uvm, 2000 * PAGE), 0);
  const free = t.exp.free, va = uvmKmAlloc(uvm, 3 * PAGE);
  assert.ok(va < 0);
  const pgs = [0, 1, 2].map((i) => uvm.pageAt(uvm.pmap.kernelPmap, va + i * PAGE));
  assert.ok(pgs.every((pg) => pg > 0 && uvm.pages.isUnowned(pg) && uvm.pages.priv[pg] === PRIV_KMEM && uvm.pmap.pvList(pg).length === 0));
  t.check();
  const vb = uvmKmAlloc(uvm, PAGE);
  assert.ok(vb >= va + 3 * PAGE || vb < va);
  uvmKmFree(uvm, va, 3 * PAGE);
  uvmKmFree(uvm, vb, PAGE);
  assert.is(t.exp.free, free);
  assert.throws(() => uvmKmFree(uvm, va, 3 * PAGE), /freed twice/);
  assert.is(uvmKmAlloc(uvm, 2000 * PAGE), 0, "more than there is");
  assert.is(t.exp.free, free);
  t.check();
});

test("a device's pages are mapped without page records, beyond it is EINVAL", () => {
  const t = bootVm(), vm = t.space(), dev = udvAttach(t.uvm, { uvm: t.uvm, mmap: (off) => (off < PAGE ? 0x80000000 : -EINVAL) });
  t.map(vm, VA, 2, { uobj: dev, copyOnWrite: false });
  t.mmu.frame(0)[9] = 123;
  assert.is(t.load(vm, VA + 9), 123);
  assert.is(t.load(vm, VA + PAGE), -EINVAL);
  t.check();
  t.free(vm);
  t.check();
});

test("a fork that finds no memory undoes everything", () => {
  const t = bootVm(), vm = t.space();
  for (let i = 0; i < 5; i++) {
    t.map(vm, VA * (i + 1), 4, { noMerge: true });
    t.store(vm, VA * (i + 1), 1);
    t.run(uvmMapPageable(vm.map, VA * (i + 1), VA * (i + 1) + PAGE, { wire: true }));
  }
  t.check();
  t.uvm.hooks.fail("amap", 3);
  assert.throws(() => t.fork(vm), /-12/);
  t.uvm.hooks.fail("amap", null);
  t.check();
  t.run(uvmMapInherit(vm.map, VA, VA * 6, 0));
  t.store(vm, VA * 2, 5);
  t.check();
  t.free(vm);
  t.check();
});
test.run();
