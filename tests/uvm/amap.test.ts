// Amaps and anons: fork, partial unmapping, growth, inheritance (uvm-spec 8.6, T-AM).
import { AMAP_SHARED } from "../../kernel/uvm/amap.ts";
import { INH_COPY, INH_NONE, INH_SHARE, INH_ZERO } from "../../kernel/uvm/mapentry.ts";
import { uvmMapInherit, uvmMapProtect } from "../../kernel/uvm/mapops.ts";
import { uvmMapPageable } from "../../kernel/uvm/mapwire.ts";
import { uvmBrk, uvmspaceExec } from "../../kernel/uvm/vmspace.ts";
import { EFAULT } from "../../kernel/lib/errno.ts";
import { bootVm, MODES, modeName, PAGE, R, RW, type BootOptions, type TestVm } from "../helpers/bootvm.ts";
import { assert, suite } from "../helpers/suite.ts";

const VA = 0x100000;

function tests(mode: BootOptions): void {
  const test = suite(`uvm amap (${modeName(mode)})`);
  const boot = (): TestVm => bootVm({ npages: 1024, ...mode });

  test("after fork and the child's exit the parent takes its amap over and copies nothing (T-AM-1)", () => {
    const t = boot(), vm = t.space();
    t.map(vm, VA, 8);
    for (let i = 0; i < 8; i++) t.store(vm, VA + i * PAGE, i);
    const am = vm.map.lookup(VA)!.amap!, an = am.anons[0]!, child = t.fork(vm);
    assert.is(am.ref, 2);
    t.store(child, VA, 99);
    assert.is(t.uvm.anons.ref[an], 1, "the child's store copied its anon");
    assert.is(t.uvm.anons.ref[am.anons[1]!], 2);
    t.check();
    t.free(child);
    assert.is(t.uvm.anons.ref[am.anons[1]!], 1);
    assert.is(am.ref, 1);
    const d = t.delta(() => t.store(vm, VA + PAGE, 5));
    assert.is(d.pgalloc, undefined);
    assert.is(d.fltAcow, undefined);
    assert.is(vm.map.lookup(VA)!.amap, am);
    t.check();
  });

  test("unmapping the middle frees exactly the middle's anons (T-AM-2)", () => {
    const t = boot(), vm = t.space();
    t.map(vm, VA, 100);
    for (let i = 0; i < 100; i++) t.store(vm, VA + i * PAGE, i);
    const am = vm.map.lookup(VA)!.amap!, free = t.exp.free;
    t.unmap(vm, VA + 30 * PAGE, 40);
    assert.ok(am.ppref);
    assert.is(am.nused, 60);
    assert.is(t.uvm.anons.count, 60);
    assert.is(t.exp.free, free + 40);
    t.check();
    assert.is(t.load(vm, VA + 29 * PAGE), 29);
    assert.is(t.load(vm, VA + 70 * PAGE), 70);
    assert.is(t.load(vm, VA + 50 * PAGE), -EFAULT);
    t.free(vm);
    t.check();
    assert.is(t.uvm.anons.count, 0);
  });

  test("without memory to count slots the middle's anons live until the last piece goes (T-AM-3)", () => {
    const t = boot(), vm = t.space();
    t.map(vm, VA, 100);
    for (let i = 0; i < 100; i++) t.store(vm, VA + i * PAGE, i);
    t.uvm.hooks.fail("ppref", () => true);
    t.unmap(vm, VA + 30 * PAGE, 40);
    t.uvm.hooks.fail("ppref", null);
    const am = vm.map.lookup(VA)!.amap!;
    assert.ok(am.pprefNone);
    assert.is(t.uvm.anons.count, 100);
    t.check();
    assert.is(t.load(vm, VA + 70 * PAGE), 70);
    t.map(vm, VA + 30 * PAGE, 40);
    assert.is(t.load(vm, VA + 30 * PAGE), 0, "new memory in the hole is new");
    t.check();
    t.free(vm);
    t.check();
    assert.is(t.uvm.anons.count, 0);
  });

  test("fork of wired memory leaves the parent's mappings alone and gives the child copies (T-AM-4)", () => {
    const t = boot(), vm = t.space();
    t.map(vm, VA, 4);
    for (let i = 0; i < 4; i++) t.store(vm, VA + i * PAGE, i + 1);
    const before = t.fork(vm);
    t.run(uvmMapPageable(vm.map, VA, VA + 4 * PAGE, { wire: true }));
    const ptes = [0, 1, 2, 3].map((i) => t.pageAt(vm, VA + i * PAGE)), rights = [0, 1, 2, 3].map((i) => t.rights(vm, VA + i * PAGE));
    const child = t.fork(vm);
    assert.equal([0, 1, 2, 3].map((i) => t.pageAt(vm, VA + i * PAGE)), ptes);
    assert.equal([0, 1, 2, 3].map((i) => t.rights(vm, VA + i * PAGE)), rights);
    assert.equal(rights, ["RW", "RW", "RW", "RW"]);
    t.check();
    t.store(vm, VA, 50);
    assert.is(t.load(child, VA), 1);
    assert.is(t.load(before, VA), 1);
    assert.not.equal(t.pageAt(child, VA), ptes[0]);
    t.free(child, before);
    t.check();
    assert.is(t.exp.wired, 4);
    t.free(vm);
    t.check();
    assert.is(t.exp.wired, 0);
  });

  test("an amap is shared no more when one of two sharers executes something else (T-AM-5)", () => {
    const t = boot(), vm = t.space();
    t.map(vm, VA, 4);
    t.run(uvmMapInherit(vm.map, VA, VA + 4 * PAGE, INH_SHARE));
    const child = t.fork(vm);
    t.store(child, VA, 8);
    assert.is(t.load(vm, VA), 8);
    const am = vm.map.lookup(VA)!.amap!;
    assert.is(am.flags & AMAP_SHARED, AMAP_SHARED);
    t.check();
    const fresh = t.run(uvmspaceExec(child));
    assert.is(fresh, child);
    assert.is(am.ref, 1);
    assert.is(am.flags & AMAP_SHARED, 0);
    t.check();
    t.free(child, vm);
    t.check();
  });

  test("a heap grows and shrinks in one entry and one amap (T-AM-6)", () => {
    const t = boot(), vm = t.space();
    vm.brkBase = vm.brkEnd = VA;
    assert.is(t.run(uvmBrk(vm, VA + 3 * PAGE + 5)), VA + 3 * PAGE + 5);
    for (let i = 0; i < 4; i++) t.store(vm, VA + i * PAGE, i + 1);
    const am = vm.map.lookup(VA)!.amap!, anons = am.anons.slice(0, 4);
    t.run(uvmBrk(vm, VA + 9 * PAGE));
    assert.is(vm.map.nentries, 1);
    assert.is(am.nslot, 9);
    assert.equal(am.anons.slice(0, 4), anons);
    t.store(vm, VA + 8 * PAGE, 9);
    t.check();
    t.run(uvmBrk(vm, VA + 2 * PAGE));
    assert.is(t.load(vm, VA + 2 * PAGE), -EFAULT);
    t.check();
    t.run(uvmBrk(vm, VA + 6 * PAGE));
    assert.is(t.load(vm, VA + 2 * PAGE), 0, "memory given back comes again as zeros");
    assert.is(t.load(vm, VA + PAGE), 2);
    t.check();
    t.free(vm);
    t.check();
  });

  test("a mapping that grows downwards keeps its anons in place (T-AM-6)", () => {
    const t = boot(), vm = t.space();
    t.map(vm, VA, 4);
    for (let i = 0; i < 4; i++) t.store(vm, VA + i * PAGE, i + 1);
    t.map(vm, VA - 3 * PAGE, 3);
    assert.is(vm.map.nentries, 1);
    t.store(vm, VA - 3 * PAGE, 77);
    assert.equal([0, 1, 2, 3].map((i) => t.load(vm, VA + i * PAGE)), [1, 2, 3, 4]);
    assert.is(t.load(vm, VA - PAGE), 0);
    t.check();
  });

  test("copy, share, none and zero do what they say (T-AM-7)", () => {
    const t = boot(), vm = t.space(), kinds = [INH_COPY, INH_SHARE, INH_NONE, INH_ZERO];
    for (const [i, kind] of kinds.entries()) {
      t.map(vm, VA * (i + 1), 2, { inherit: kind, noMerge: true });
      t.store(vm, VA * (i + 1), 10 + i);
    }
    const child = t.fork(vm), at = (i: number, page: number): number => VA * (i + 1) + page * PAGE;
    t.check();
    assert.equal(kinds.map((_, i) => t.load(child, at(i, 0))), [10, 11, -EFAULT, 0]);
    for (const i of [0, 1, 3]) {
      t.store(child, at(i, 0), 20 + i);
      t.store(child, at(i, 1), 30 + i);
    }
    assert.equal(kinds.map((_, i) => t.load(vm, at(i, 0))), [10, 21, 12, 13]);
    assert.equal(kinds.map((_, i) => t.load(vm, at(i, 1))), [0, 31, 0, 0]);
    t.check();
    t.free(vm, child);
    t.check();
    assert.is(t.uvm.anons.count, 0);
  });

  test("pages lent to the kernel keep their bytes through fork and stores (T-AM-7)", () => {
    const t = boot(), vm = t.space(), { pages } = t.uvm;
    t.map(vm, VA, 1);
    t.store(vm, VA, 5);
    const pg = t.pageAt(vm, VA);
    t.uvm.pmap.pmapPageProtect(pg, R);
    pages.lockQueues();
    pages.loanCount[pg] = 1;
    pages.pageDequeue(pg);
    pages.unlockQueues();
    const child = t.fork(vm);
    t.store(child, VA, 6);
    t.store(vm, VA, 7);
    assert.is(t.mmu.frame(pg)[0], 5);
    assert.equal([t.load(vm, VA), t.load(child, VA)], [7, 6]);
    t.check({ ledger: [pg] });
  });

  test("a chain of forks keeps each one's view", () => {
    const t = boot(), spaces = [t.space()];
    t.map(spaces[0]!, VA, 20);
    for (let i = 0; i < 20; i++) t.store(spaces[0]!, VA + i * PAGE, 1);
    for (let g = 1; g < 6; g++) {
      spaces.push(t.fork(spaces[g - 1]!));
      for (let i = g; i < 20; i += 6) t.store(spaces[g]!, VA + i * PAGE, g + 1);
      t.check();
    }
    t.free(spaces[2]!);
    for (const g of [0, 1, 3, 4, 5]) {
      for (let i = 0; i < 20; i++) {
        const writer = i % 6;
        const want = writer !== 0 && writer <= g ? writer + 1 : 1;
        assert.is(t.load(spaces[g]!, VA + i * PAGE), want, `space ${g} page ${i}`);
      }
    }
    t.check();
    t.free(...[0, 1, 3, 4, 5].map((g) => spaces[g]!));
    t.check();
    assert.is(t.uvm.anons.count, 0);
  });

  test("pieces of one mapping that become alike again are one entry", () => {
    const t = boot(), vm = t.space();
    t.map(vm, VA, 12);
    for (let i = 0; i < 12; i++) t.store(vm, VA + i * PAGE, i);
    t.run(uvmMapProtect(vm.map, VA + 4 * PAGE, VA + 8 * PAGE, R));
    assert.is(vm.map.nentries, 3);
    t.check();
    t.run(uvmMapProtect(vm.map, VA + 4 * PAGE, VA + 8 * PAGE, RW));
    assert.is(vm.map.nentries, 1);
    assert.is(vm.map.lookup(VA)!.amap!.ref, 1);
    t.check();
    for (let i = 0; i < 12; i++) assert.is(t.load(vm, VA + i * PAGE), i);
  });

  test.run();
}

for (const mode of MODES) tests(mode);
