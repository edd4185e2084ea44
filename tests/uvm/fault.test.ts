// Faults: the cases, the windows, and what happens while one sleeps (uvm-spec 8.6, T-FT).
import { EACCES, EAGAIN, EBUSY, EFAULT, EINVAL, EIO, ENOMEM, ERESTART } from "../../kernel/lib/errno.ts";
import { uaoCreate } from "../../kernel/uvm/aobj.ts";
import { uvmFault } from "../../kernel/uvm/faultslow.ts";
import { ADV_NORMAL, ADV_RANDOM, ADV_SEQUENTIAL, INH_SHARE } from "../../kernel/uvm/mapentry.ts";
import { uvmMapClean } from "../../kernel/uvm/mapclean.ts";
import { uvmMapInherit } from "../../kernel/uvm/mapops.ts";
import { uvmMapPageable } from "../../kernel/uvm/mapwire.ts";
import { PGO_DEACTIVATE } from "../../kernel/uvm/object.ts";
import { PG_CLEAN, PG_FAKE, PQ_ACTIVE, PQ_INACTIVE, PQ_QUEUED } from "../../kernel/uvm/page.ts";
import type { Vmspace } from "../../kernel/uvm/vmspace.ts";
import { bootVm, MODES, modeName, PAGE, R, RW, W, type BootOptions, type TestVm } from "../helpers/bootvm.ts";
import { assert, suite } from "../helpers/suite.ts";
import { TestFile } from "../helpers/testfile.ts";

const VA = 0x100000;

/** A file of `n` pages mapped at VA. */
function mapFile(t: TestVm, vm: Vmspace, n: number, opts: { shared?: boolean; prot?: number; advice?: number; va?: number } = {}): TestFile {
  const file = new TestFile(t, n);
  file.vref();
  t.map(vm, opts.va ?? VA, n, { uobj: file.uobj, copyOnWrite: !opts.shared, prot: opts.prot ?? RW, advice: opts.advice ?? ADV_RANDOM });
  return file;
}

/** Reads page `i` of a file in by another address space, so that it is resident and the one under test has not touched it. */
function readIn(t: TestVm, file: TestFile, ...pagesNo: number[]): void {
  const other = t.space();
  file.vref();
  t.map(other, VA, file.bytes.length / PAGE, { uobj: file.uobj, copyOnWrite: false, advice: ADV_RANDOM });
  for (const i of pagesNo) t.load(other, VA + i * PAGE);
  t.free(other);
}

function tests(mode: BootOptions): void {
  const test = suite(`uvm fault (${modeName(mode)})`);
  const boot = (more: BootOptions = {}): TestVm => bootVm({ npages: 512, ...mode, ...more });

  test("reading an anon page maps it (T-FT-1), storing to one's own copies nothing (T-FT-2)", () => {
    const t = boot(), vm = t.space();
    t.map(vm, VA, 1);
    t.store(vm, VA, 7);
    const pg = t.pageAt(vm, VA);
    t.uvm.pmap.pmapRemove(vm.map.pmap, VA, VA + PAGE);
    t.uvm.pmap.pmapUpdate(vm.map.pmap);
    const d = t.delta(() => assert.is(t.load(vm, VA), 7));
    assert.is(d.fltAnon, 1);
    assert.is(t.rights(vm, VA), "RW");
    t.uvm.pmap.pmapRemove(vm.map.pmap, VA, VA + PAGE);
    t.uvm.pmap.pmapUpdate(vm.map.pmap);
    const d2 = t.delta(() => t.store(vm, VA, 8));
    assert.is(d2.fltAnon, 1);
    assert.is(d2.fltAcow, undefined);
    assert.is(d2.pgalloc, undefined);
    assert.is(t.pageAt(vm, VA), pg);
    t.check();
  });

  test("reading a shared anon maps it read-only (T-FT-3), storing to it copies (T-FT-4)", () => {
    const t = boot(), vm = t.space();
    t.map(vm, VA, 1);
    t.store(vm, VA, 7);
    const child = t.fork(vm);
    t.store(child, VA, 9);
    t.check();
    // The child took a copy of the amap first, so its store was case 1B.
    assert.is(t.exp.fltAcow, 1);
    assert.is(t.load(vm, VA), 7);
    assert.is(t.load(child, VA), 9);
    const again = t.fork(vm);
    assert.is(t.load(again, VA), 7);
    assert.is(t.rights(again, VA), "R");
    t.check();
    t.free(vm, child, again);
    t.check();
    assert.is(t.uvm.anons.count, 0);
  });

  test("object pages: shared read R, shared store RW, private read R, private store a copy (T-FT-5 to T-FT-8)", () => {
    const t = boot(), vm = t.space(), shared = mapFile(t, vm, 2, { shared: true }), priv = mapFile(t, vm, 2, { va: VA * 2 });
    const d = t.delta(() => assert.is(t.load(vm, VA), 1));
    assert.is(d.fltObj, 1);
    assert.is(t.rights(vm, VA), "R");
    t.store(vm, VA + PAGE, 50);
    assert.is(t.rights(vm, VA + PAGE), "RW");
    assert.is(shared.dirtied, 1);
    t.check();
    t.load(vm, VA * 2);
    assert.is(t.rights(vm, VA * 2), "R");
    const d2 = t.delta(() => t.store(vm, VA * 2 + PAGE, 60));
    assert.is(d2.fltPrcopy, 1);
    assert.is(t.rights(vm, VA * 2 + PAGE), "RW");
    assert.is(t.load(vm, VA * 2 + PAGE), 60);
    assert.is(t.load(vm, VA * 2 + PAGE + 1), 2, "the rest of the page was copied");
    assert.is(priv.dirtied, 0);
    assert.is(priv.writes, 0);
    t.check();
    t.free(vm);
    t.check();
    assert.is(shared.refs, 1);
  });

  test("untouched memory is zeros, dirty and writable from the first read (T-FT-9)", () => {
    const t = boot(), vm = t.space();
    t.map(vm, VA, 2);
    const d = t.delta(() => assert.is(t.load(vm, VA), 0));
    assert.is(d.fltPrzero, 1);
    assert.is(t.rights(vm, VA), "RW");
    assert.is(t.uvm.pages.flags[t.pageAt(vm, VA)]! & PG_CLEAN, 0);
    t.store(vm, VA + PAGE, 3);
    assert.is(t.exp.fltPrzero, 2);
    t.check();
  });

  test("no entry is EFAULT (T-FT-10), no right is EACCES (T-FT-11)", () => {
    const t = boot(), vm = t.space();
    t.map(vm, VA, 1, { prot: R });
    t.map(vm, VA * 2, 1, { prot: 0 });
    assert.is(t.load(vm, VA - PAGE), -EFAULT);
    assert.is(t.store(vm, VA, 1), -EACCES);
    assert.is(t.load(vm, VA * 2), -EACCES);
    assert.is(t.load(vm, VA), 0);
    assert.is(t.store(vm, VA, 1), -EACCES);
    t.check();
  });

  test("the window follows the advice and stops at the entry's ends (T-FT-12)", () => {
    const n = 32, want = [
      { advice: ADV_NORMAL, at: 0, from: 0, to: 4 }, { advice: ADV_NORMAL, at: 16, from: 13, to: 20 }, { advice: ADV_NORMAL, at: 31, from: 28, to: 31 },
      { advice: ADV_RANDOM, at: 0, from: 0, to: 0 }, { advice: ADV_RANDOM, at: 16, from: 16, to: 16 }, { advice: ADV_RANDOM, at: 31, from: 31, to: 31 },
      { advice: ADV_SEQUENTIAL, at: 0, from: 0, to: 7 }, { advice: ADV_SEQUENTIAL, at: 16, from: 16, to: 23 },
      { advice: ADV_SEQUENTIAL, at: 31, from: 31, to: 31 },
    ];
    const t = boot();
    for (const { advice, at, from, to } of want) {
      const vm = t.space(), file = mapFile(t, vm, n, { shared: true, advice });
      readIn(t, file, ...Array.from({ length: n }, (_, i) => i));
      t.load(vm, VA + at * PAGE);
      const mapped = Array.from({ length: n }, (_, i) => i).filter((i) => t.rights(vm, VA + i * PAGE) !== "");
      assert.equal(mapped, Array.from({ length: to - from + 1 }, (_, i) => from + i), `advice ${advice} at ${at}`);
      t.check();
      t.free(vm);
    }
  });

  test("a sequential reader leaves its pages inactive, but not the wired, loaned or busy ones (T-FT-13)", () => {
    const t = boot(), vm = t.space(), { pages, anons } = t.uvm;
    t.map(vm, VA, 12, { advice: ADV_SEQUENTIAL });
    for (let i = 0; i < 8; i++) t.store(vm, VA + i * PAGE, i);
    const pgs = Array.from({ length: 8 }, (_, i) => t.pageAt(vm, VA + i * PAGE));
    const e = vm.map.lookup(VA)!, ans = pgs.map((_, i) => e.amap!.anons[e.slotOf(VA + i * PAGE)]!);
    pages.lockQueues();
    for (const pg of pgs) pages.pageActivate(pg);
    pages.pageWire(pgs[1]!);
    pages.loanCount[pgs[2]!] = 1;
    pages.pageDequeue(pgs[2]!);
    pages.unlockQueues();
    t.uvm.pmap.pmapPageProtect(pgs[2]!, R);
    anons.lockOf(ans[3]!).enter();
    pages.pageBusy(pgs[3]!, "test");
    anons.lockOf(ans[3]!).exit();
    t.store(vm, VA + 8 * PAGE, 8);
    const state = pgs.map((pg) => pages.pqflags[pg]! & PQ_QUEUED);
    assert.equal(state, [PQ_INACTIVE, 0, 0, PQ_ACTIVE, PQ_INACTIVE, PQ_INACTIVE, PQ_INACTIVE, PQ_INACTIVE]);
    t.check({ ledger: [pgs[2]!], allowBusy: [pgs[3]!] });
  });

  test("a failed pmap_enter waits, starts again and leaves no old mapping (T-FT-14)", () => {
    const t = boot(), vm = t.space();
    t.map(vm, VA, 1);
    t.store(vm, VA, 7);
    const child = t.fork(vm);
    t.load(child, VA);
    t.uvm.hooks.fail("pmapEnter", 1);
    t.store(child, VA, 9);
    t.uvm.hooks.fail("pmapEnter", null);
    assert.is(t.load(child, VA), 9);
    assert.is(t.load(vm, VA), 7);
    t.check();
  });

  test("the first store after fork copies the amap once (T-FT-15)", () => {
    const t = boot(), vm = t.space();
    t.map(vm, VA, 4);
    t.store(vm, VA, 1);
    const child = t.fork(vm);
    const d = t.delta(() => {
      t.store(child, VA, 2);
      t.store(child, VA + PAGE, 3);
    });
    assert.is(d.fltamcopy, 1);
    t.check();
  });

  test("a store in the middle of a gigabyte makes an amap for 16 pages only (T-FT-16)", () => {
    const t = boot(), vm = t.space(), npages = 262144, mid = 0x40000000 + (npages / 2 + 5) * PAGE;
    t.map(vm, 0x40000000, npages);
    t.store(vm, mid, 1);
    const e = vm.map.lookup(mid)!;
    assert.is(e.npages, 16);
    assert.is(e.start % (16 * PAGE), 0);
    assert.is(e.amap!.nslot, 16);
    assert.is(vm.map.nentries, 3);
    t.check();
    // A neighbouring chunk joins it.
    t.store(vm, e.end, 2);
    assert.is(vm.map.nentries, 3);
    assert.is(vm.map.lookup(mid)!.npages, 32);
    t.store(vm, e.start - PAGE, 3);
    assert.is(vm.map.lookup(mid)!.npages, 48);
    assert.is(t.load(vm, mid), 1);
    t.check();
  });

  test("an entry removed while its page is read in is EFAULT afterwards (T-FT-17)", () => {
    const t = boot(), vm = t.space(), file = mapFile(t, vm, 2, { shared: true });
    file.sleepInRead = true;
    const a = t.sched.spawn("faulter", uvmFault(vm.map, VA, R));
    t.sched.runUntil(a, "testio");
    assert.equal(t.uvm.hooks.lockset(a), []);
    t.unmap(vm, VA, 2);
    file.finishIo();
    assert.is(t.sched.finish(a), -EFAULT);
    t.check();
  });

  test("an anon put into the slot while the page is read in is found by the retry (T-FT-18)", () => {
    const t = boot(), vm = t.space(), file = mapFile(t, vm, 2);
    readIn(t, file, 1);
    t.store(vm, VA + PAGE, 9);
    file.sleepInRead = true;
    const a = t.sched.spawn("reader", uvmFault(vm.map, VA, R));
    t.sched.runUntil(a, "testio");
    // Another thread gives the slot an anon: as a store would that found the page.
    const e = vm.map.lookup(VA)!, { anons, pages } = t.uvm;
    e.amap!.lock.enter();
    const an = anons.alloc(), pg = pages.pageAlloc(null, 0, an, 0);
    t.mmu.frame(pg).fill(77);
    pages.flags[pg]! &= ~(PG_FAKE | PG_CLEAN);
    pages.lockQueues();
    pages.pageActivate(pg);
    pages.unlockQueues();
    pages.pageUnbusy(pg);
    e.amap!.add(e.slotOf(VA), an, false);
    anons.lockOf(an).exit();
    e.amap!.lock.exit();
    file.finishIo();
    assert.is(t.sched.finish(a), 0);
    assert.is(t.load(vm, VA), 77);
    t.check();
  });

  test("a page cut off while it is read in is released, and the fault is EINVAL (T-FT-19)", () => {
    const t = boot(), vm = t.space(), file = mapFile(t, vm, 2, { shared: true });
    file.sleepInRead = true;
    const a = t.sched.spawn("faulter", uvmFault(vm.map, VA + PAGE, R));
    t.sched.runUntil(a, "testio");
    file.truncate(1);
    file.finishIo();
    assert.is(t.sched.finish(a), -EINVAL);
    assert.is(t.exp.fltpgrele, 1);
    assert.is(file.uobj.npages, 0);
    t.check();
  });

  test("a copy made in a shared amap is seen by all who share it (T-FT-20)", () => {
    const t = boot(), vm = t.space(), file = mapFile(t, vm, 2);
    readIn(t, file, 0, 1);
    t.store(vm, VA + PAGE, 5);
    t.run(uvmMapInherit(vm.map, VA, VA + 2 * PAGE, INH_SHARE));
    const child = t.fork(vm);
    assert.is(t.load(vm, VA), 1);
    assert.is(t.rights(vm, VA), "R");
    t.store(child, VA, 42);
    assert.is(t.rights(vm, VA), "", "the other's mapping of the file's page is gone");
    assert.is(t.load(vm, VA), 42);
    assert.is(t.load(vm, VA + PAGE), 5);
    t.check();
    t.free(vm, child);
    t.check();
  });

  test("wiring takes pages off the queues, unwiring puts them on active (T-FT-21)", () => {
    const t = boot(), vm = t.space(), { pages } = t.uvm;
    t.map(vm, VA, 3);
    assert.is(t.run(uvmMapPageable(vm.map, VA, VA + 3 * PAGE, { wire: true })), 0);
    const pgs = [0, 1, 2].map((i) => t.pageAt(vm, VA + i * PAGE));
    assert.equal(pgs.map((pg) => pages.wireCount[pg]), [1, 1, 1]);
    assert.equal(pgs.map((pg) => pages.pqflags[pg]! & PQ_QUEUED), [0, 0, 0]);
    assert.is(t.exp.wired, 3);
    t.check();
    assert.is(t.run(uvmMapPageable(vm.map, VA, VA + 3 * PAGE, { wire: false })), 0);
    assert.equal(pgs.map((pg) => pages.pqflags[pg]! & PQ_QUEUED), [PQ_ACTIVE, PQ_ACTIVE, PQ_ACTIVE]);
    assert.is(t.exp.wired, 0);
    t.check();
  });

  test("faults and flushes leave pages that are on loan off the queues (T-FT-22)", () => {
    const t = boot(), vm = t.space(), { pages } = t.uvm, file = mapFile(t, vm, 4, { shared: true, advice: ADV_NORMAL });
    t.map(vm, VA * 2, 4, { advice: ADV_SEQUENTIAL });
    t.load(vm, VA + PAGE);
    t.store(vm, VA * 2 + PAGE, 1);
    const ok = t.pageAt(vm, VA + PAGE), ak = t.pageAt(vm, VA * 2 + PAGE), offQueue = (): void => {
      assert.equal([ok, ak].map((pg) => pages.pqflags[pg]! & PQ_QUEUED), [0, 0]);
      t.check({ ledger: [ok, ak] });
    };
    for (const pg of [ok, ak]) {
      t.uvm.pmap.pmapPageProtect(pg, 0);
      pages.lockQueues();
      pages.loanCount[pg] = 1;
      pages.pageDequeue(pg);
      pages.unlockQueues();
    }
    offQueue();
    t.load(vm, VA);
    assert.not.match(t.rights(vm, VA + PAGE), "W");
    t.load(vm, VA + PAGE);
    offQueue();
    t.load(vm, VA * 2 + PAGE);
    assert.is(t.rights(vm, VA * 2 + PAGE), "R");
    offQueue();
    t.store(vm, VA * 2 + 3 * PAGE, 1);
    offQueue();
    assert.is(t.run(uvmMapClean(vm.map, VA, VA + 4 * PAGE, PGO_DEACTIVATE)), 0);
    assert.is(t.run(uvmMapClean(vm.map, VA * 2, VA * 2 + 4 * PAGE, PGO_DEACTIVATE)), 0);
    assert.is(file.writes, 0);
    offQueue();
  });

  test("a store to a page on loan goes to a fresh page, and the borrower keeps the old one (T-LB-1, T-LB-2)", () => {
    const t = boot(), vm = t.space(), { pages } = t.uvm;
    mapFile(t, vm, 1, { shared: true });
    t.map(vm, VA * 2, 1);
    t.store(vm, VA, 11);
    t.store(vm, VA * 2, 12);
    const o = t.pageAt(vm, VA), a = t.pageAt(vm, VA * 2);
    for (const pg of [o, a]) {
      t.uvm.pmap.pmapPageProtect(pg, R);
      pages.lockQueues();
      pages.loanCount[pg] = 1;
      pages.pageDequeue(pg);
      pages.unlockQueues();
    }
    t.store(vm, VA, 21);
    t.store(vm, VA * 2, 22);
    assert.equal([t.exp.loanbreakO, t.exp.loanbreakA], [1, 1]);
    assert.equal([t.mmu.frame(o)[0], t.mmu.frame(a)[0]], [11, 12]);
    assert.equal([t.load(vm, VA), t.load(vm, VA * 2)], [21, 22]);
    assert.ok(pages.isUnowned(o) && pages.isUnowned(a));
    t.check({ ledger: [o, a] });
  });

  test("each answer of a pager has its meaning for the fault (T-FT-30, T-FT-33)", () => {
    const t = boot(), vm = t.space(), file = mapFile(t, vm, 2, { shared: true });
    for (const [code, result] of [[-EIO, -EIO], [-ERESTART, -EIO], [-EINVAL, -EINVAL], [-ENOMEM, -ENOMEM]] as const) {
      t.uvm.hooks.pagerResult(file.uobj, code);
      assert.is(t.fault(vm, VA, R), result);
      t.check();
    }
    assert.is(t.load(vm, VA), 1);
  });

  test("EAGAIN from a pager pauses and tries again (T-FT-31)", () => {
    const t = boot(), vm = t.space(), file = mapFile(t, vm, 2, { shared: true });
    t.uvm.hooks.pagerResult(file.uobj, -EAGAIN, -EAGAIN);
    assert.is(t.load(vm, VA), 1);
    assert.is(t.sched.sleeps.filter((s) => s === "again").length, 2);
    assert.is(t.sched.timeNs, 1e9);
    t.check();
  });

  test("the locked get of a page that is not resident is EBUSY and changes nothing (T-FT-32)", () => {
    const t = boot(), vm = t.space(), file = mapFile(t, vm, 2, { shared: true }), pgs = new Int32Array(1);
    file.uobj.lock.enter();
    assert.is(file.uobj.pgops.getLocked!(file.uobj, 0, pgs, 1, 0, R, ADV_NORMAL), -EBUSY);
    assert.ok(file.uobj.lock.isOwned);
    file.uobj.lock.exit();
    assert.is(pgs[0], 0);
    assert.is(t.load(vm, VA), 1);
    assert.is(t.exp.fltget, 1);
    t.check();
  });

  test("a fault waits for an anon's busy page and then finds it (T-LN-23's twin)", () => {
    const t = boot(), vm = t.space(), { pages, anons } = t.uvm;
    t.map(vm, VA, 1);
    t.store(vm, VA, 5);
    const pg = t.pageAt(vm, VA), lock = anons.lockOf(pages.uanon[pg]!);
    t.uvm.pmap.pmapPageProtect(pg, 0);
    lock.enter();
    pages.pageBusy(pg, "test");
    lock.exit();
    const a = t.sched.spawn("faulter", uvmFault(vm.map, VA, R));
    t.sched.runUntil(a, "anonget2");
    lock.enter();
    pages.pageUnbusy(pg);
    lock.exit();
    assert.is(t.sched.finish(a), 0);
    assert.is(t.load(vm, VA), 5);
    assert.is(t.exp.fltpgwait, 1);
    t.check();
  });

  test("shared anonymous memory is one object for parent and child", () => {
    const t = boot(), vm = t.space();
    t.map(vm, VA, 4, { uobj: uaoCreate(t.uvm, 4 * PAGE), inherit: INH_SHARE, copyOnWrite: false });
    t.store(vm, VA, 1);
    const child = t.fork(vm);
    t.store(child, VA + PAGE, 2);
    assert.is(t.load(vm, VA + PAGE), 2);
    assert.is(t.load(child, VA), 1);
    t.check();
    t.free(vm, child);
    t.check();
    assert.is(t.exp.anonpages, 0);
  });

  test("a hole of a file is mapped without W even for a shared mapping", () => {
    const t = boot(), vm = t.space(), file = mapFile(t, vm, 2, { shared: true });
    file.holes.add(0);
    t.load(vm, VA);
    assert.is(t.rights(vm, VA), "R");
    t.store(vm, VA, 9);
    assert.is(t.rights(vm, VA), "RW");
    assert.is(file.holes.size, 0, "a store gave it blocks");
    t.check();
  });

  test("memory that ends is ENOMEM, without a lock or a page left behind (T-PD-10)", () => {
    const t = boot({ npages: 128 }), vm = t.space();
    t.map(vm, VA, 200);
    let i = 0, r = 0;
    while (r === 0 && i < 200) r = t.store(vm, VA + i++ * PAGE, 1);
    assert.is(r, -ENOMEM);
    assert.ok(t.exp.free <= t.exp.reserveKernel);
    t.check();
    t.free(vm);
    t.check();
    assert.is(t.uvm.anons.count, 0);
  });

  test("clean file pages give way when memory ends, dirty ones are written first", () => {
    const t = boot({ npages: 192 }), vm = t.space(), file = mapFile(t, vm, 400, { shared: true });
    for (let i = 0; i < 400; i++) {
      if (i % 3 === 0) assert.is(t.store(vm, VA + i * PAGE, 200), 0);
      else assert.is(t.load(vm, VA + i * PAGE), (i + 1) & 0xff);
    }
    t.check();
    for (let i = 0; i < 400; i += 3) assert.is(t.load(vm, VA + i * PAGE), 200);
    assert.ok(file.writes > 0 && t.exp.pdfreed > 200);
    t.check();
  });

  test("an anon that found no page is kept for the retry (T-LO-1)", () => {
    const t = boot(), vm = t.space();
    t.map(vm, VA, 1);
    let anonAllocs = 0;
    t.uvm.hooks.fail("anon", () => (anonAllocs++, false));
    t.uvm.hooks.fail("page", 1);
    assert.is(t.run(uvmFault(vm.map, VA, W)), 0);
    assert.is(anonAllocs, 1);
    t.uvm.hooks.fail("anon", null);
    t.uvm.hooks.fail("page", null);
    t.check();
    t.free(vm);
    assert.is(t.uvm.anons.count, 0);
  });

  test.run();
}

for (const mode of MODES) tests(mode);
tests({ ...MODES[0], slowOnly: true });
