// The page daemon's first part: file pages age and are reclaimed (uvm-spec 3.18, 8.7 T-PD).
import { ENOMEM } from "../../kernel/lib/errno.ts";
import { KThread } from "../../kernel/lib/kthread.ts";
import { uvmFault } from "../../kernel/uvm/faultslow.ts";
import { PG_BUSY, PQ_ACTIVE, PQ_INACTIVE, PQ_QUEUED } from "../../kernel/uvm/page.ts";
import { uvmReclaimable } from "../../kernel/uvm/pdaemon.ts";
import type { Vmspace } from "../../kernel/uvm/vmspace.ts";
import { bootVm, PAGE, R, RW, type TestVm } from "../helpers/bootvm.ts";
import { assert, suite } from "../helpers/suite.ts";
import { TestFile } from "../helpers/testfile.ts";

const test = suite("uvm page daemon"), VA = 0x100000;

function mapFile(t: TestVm, vm: Vmspace, n: number): TestFile {
  const file = new TestFile(t, n);
  file.vref();
  t.map(vm, VA, n, { uobj: file.uobj, copyOnWrite: false, advice: 1 });
  return file;
}

/** Puts every file page on inactive, unreferenced. */
function ageAll(t: TestVm, file: TestFile): void {
  const { pages } = t.uvm;
  pages.lockQueues();
  for (const [, pg] of file.uobj.tree) pages.pageDeactivate(pg);
  pages.unlockQueues();
}

/** Leaves few pages free, so that a scan has a reason. */
function hog(t: TestVm, leave: number): number[] {
  const held: number[] = [];
  while (t.exp.free > leave) held.push(t.uvm.pages.allocPrivate(3, 0));
  return held;
}

test("pages that were used again go back to active, the others are freed (T-PD-2)", () => {
  const t = bootVm({ npages: 256 }), vm = t.space(), file = mapFile(t, vm, 30);
  for (let i = 0; i < 30; i++) t.load(vm, VA + i * PAGE);
  ageAll(t, file);
  for (let i = 0; i < 10; i++) t.load(vm, VA + i * PAGE);
  const held = hog(t, 8), used = Array.from({ length: 10 }, (_, i) => file.uobj.tree.get(i)!);
  const d = t.delta(() => t.run(t.uvm.pdaemon.scan()));
  assert.ok(used.every((pg, i) => file.uobj.tree.get(i) === pg && (t.uvm.pages.pqflags[pg]! & PQ_ACTIVE) !== 0));
  assert.ok(d.pdreact! >= 10);
  assert.is(d.pdfreed, 20);
  assert.is(file.uobj.npages, 10);
  t.check();
  for (const pg of held) t.uvm.pages.freePrivate(pg);
  for (let i = 0; i < 30; i++) assert.is(t.load(vm, VA + i * PAGE), i + 1);
  t.check();
});

test("dirty pages are written by their pager before they go (T-PD-5)", () => {
  const t = bootVm({ npages: 256 }), vm = t.space(), file = mapFile(t, vm, 8);
  for (let i = 0; i < 8; i++) t.store(vm, VA + i * PAGE, 100 + i);
  ageAll(t, file);
  hog(t, 8);
  t.run(t.uvm.pdaemon.scan());
  assert.is(file.uobj.npages, 0);
  assert.is(file.writes, 8);
  assert.equal([0, 7].map((i) => file.bytes[i * PAGE]), [100, 107]);
  t.check();
});

test("a page whose owner is locked, or that is busy, is passed over (T-PD-6)", () => {
  const t = bootVm({ npages: 256 }), vm = t.space(), file = mapFile(t, vm, 4), { pages } = t.uvm;
  for (let i = 0; i < 4; i++) t.load(vm, VA + i * PAGE);
  ageAll(t, file);
  hog(t, 8);
  const busy = file.uobj.tree.get(3)!, first = file.uobj.tree.get(0)!;
  file.uobj.lock.enter();
  pages.pageBusy(busy, "test");
  file.uobj.lock.exit();
  t.uvm.hooks.ghost(file.uobj.lock, 1);
  t.run(t.uvm.pdaemon.scan());
  assert.equal([...file.uobj.tree].map(([, pg]) => pg).sort((a, b) => a - b), [busy, first].sort((a, b) => a - b));
  assert.ok(pages.pqflags[first]! & PQ_INACTIVE);
  assert.ok(pages.flags[busy]! & PG_BUSY);
  t.check({ allowBusy: [busy] });
});

test("wired and kernel-loaned pages are never met", () => {
  const t = bootVm({ npages: 256 }), vm = t.space(), file = mapFile(t, vm, 4), { pages } = t.uvm;
  for (let i = 0; i < 4; i++) t.load(vm, VA + i * PAGE);
  const [wired, lent] = [file.uobj.tree.get(0)!, file.uobj.tree.get(1)!];
  t.uvm.pmap.pmapPageProtect(lent, R);
  pages.lockQueues();
  pages.pageWire(wired);
  pages.loanCount[lent] = 1;
  pages.pageDequeue(lent);
  pages.unlockQueues();
  ageAll(t, file);
  hog(t, 8);
  t.run(t.uvm.pdaemon.scan());
  assert.equal([wired, lent].map((pg) => pages.pqflags[pg]! & PQ_QUEUED), [0, 0]);
  assert.is(file.uobj.npages, 2);
  t.check({ ledger: [lent] });
});

test("a faulter sleeps for memory, the daemon's thread wakes it, and it goes on", () => {
  const t = bootVm({ npages: 256 }), vm = t.space(), file = mapFile(t, vm, 100);
  const daemon = t.sched.spawn("pagedaemon", t.uvm.pdaemon.main(), true);
  t.sched.runUntil(daemon, "pgdaemon");
  for (let i = 0; i < 100; i++) t.load(vm, VA + i * PAGE);
  hog(t, t.exp.reserveKernel);
  ageAll(t, file);
  t.map(vm, VA * 8, 4);
  const a = t.sched.spawn("faulter", uvmFault(vm.map, VA * 8, RW & ~R));
  t.sched.runUntil(a, "flt_noram5");
  assert.equal(t.uvm.hooks.lockset(a), []);
  assert.is(t.sched.finish(a), 0);
  assert.ok(t.exp.pdfreed > 0 && t.exp.pdwoke > 0);
  assert.ok(t.exp.free > t.exp.reserveKernel);
  t.check();
});

test("when nothing can be freed a waiter gets ENOMEM and does not hang (T-PD-10)", () => {
  const t = bootVm({ npages: 256 }), vm = t.space(), file = mapFile(t, vm, 40), { pages } = t.uvm;
  t.sched.spawn("pagedaemon", t.uvm.pdaemon.main(), true);
  for (let i = 0; i < 40; i++) t.load(vm, VA + i * PAGE);
  pages.lockQueues();
  for (const [, pg] of file.uobj.tree) pages.pageWire(pg);
  pages.unlockQueues();
  t.map(vm, VA * 8, 4);
  hog(t, t.exp.reserveKernel);
  assert.ok(uvmReclaimable(t.uvm));
  assert.is(t.fault(vm, VA * 8, 2), -ENOMEM);
  t.check();
});

test("the daemon may take the last page, nobody else", () => {
  const t = bootVm({ npages: 64 }), daemon = new KThread("pagedaemon", true);
  t.uvm.pages.pagedaemon = daemon;
  hog(t, 1);
  assert.is(t.uvm.pages.allocPrivate(3, 0), 0);
  t.ctx.cur = daemon;
  assert.ok(t.uvm.pages.allocPrivate(3, 0) > 0);
  t.ctx.cur = t.ctx.bootThread;
  assert.is(t.exp.free, 0);
});

test.run();
