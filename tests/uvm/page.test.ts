// Page records: allocation, queues, objects, and what a loan changes (uvm-spec 8.7, T-PG).
import { KThread } from "../../kernel/lib/kthread.ts";
import { UO_OTHER, UvmObject } from "../../kernel/uvm/object.ts";
import {
  PG_BUSY, PG_CLEAN, PG_FAKE, PG_WANTED, PG_ZERO, PGA_ZERO, PQ_ACTIVE, PQ_ANON, PQ_FREE, PQ_INACTIVE, PQ_QUEUED, PRIV_BUFFER,
} from "../../kernel/uvm/page.ts";
import { bootVm, PAGE, type TestVm } from "../helpers/bootvm.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("uvm pages");

const newObject = (t: TestVm): UvmObject => new UvmObject(t.ctx, { name: "test", reference() {}, *detach() {}, *put() { return 0; } }, UO_OTHER, null);

/** An idle, queued page in an object that the test holds locked. */
function objectPage(t: TestVm, o: UvmObject, off: number): number {
  const { pages } = t.uvm, pg = pages.pageAlloc(o, off, 0, 0);
  pages.flags[pg]! &= ~PG_FAKE;
  pages.lockQueues();
  pages.pageActivate(pg);
  pages.unlockQueues();
  pages.pageUnbusy(pg);
  return pg;
}

/** An idle, queued page of a new anon, which stays locked. */
function anonPage(t: TestVm): { an: number; pg: number } {
  const { pages, anons } = t.uvm, an = anons.alloc(), pg = pages.pageAlloc(null, 0, an, 0);
  pages.flags[pg]! &= ~(PG_FAKE | PG_CLEAN);
  pages.lockQueues();
  pages.pageActivate(pg);
  pages.unlockQueues();
  pages.pageUnbusy(pg);
  return { an, pg };
}

function freePage(t: TestVm, pg: number): void {
  t.uvm.pages.lockQueues();
  t.uvm.pages.pageFree(pg);
  t.uvm.pages.unlockQueues();
}

/** Makes `k` kernel loans by hand. => owner locked */
function lend(t: TestVm, pg: number, k: number): void {
  t.uvm.pages.lockQueues();
  t.uvm.pages.loanCount[pg]! += k;
  t.uvm.pages.pageDequeue(pg);
  t.uvm.pages.unlockQueues();
}

test("a page record has no version, and its counts are 16 bits wide (T-PG-1)", () => {
  const { pages } = bootVm().uvm;
  assert.is(pages.loanCount.BYTES_PER_ELEMENT, 2);
  assert.is(pages.wireCount.BYTES_PER_ELEMENT, 2);
  assert.not.ok("version" in pages);
});

test("ten thousand random allocations and frees keep every count exact (T-PG-2)", () => {
  const t = bootVm({ npages: 256 }), { pages } = t.uvm, held: number[] = [];
  let seed = 1;
  for (let i = 0; i < 10000; i++) {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    if (((seed >> 8) & 1) === 0 && held.length > 0) pages.freePrivate(held.splice((seed >> 9) % held.length, 1)[0]!);
    else {
      const pg = pages.allocPrivate(PRIV_BUFFER, (seed >> 4) & PGA_ZERO);
      if (pg !== 0) held.push(pg);
    }
    if (i % 1000 === 0) t.check();
  }
  t.check();
  for (const pg of held) pages.freePrivate(pg);
  t.check();
});

test("user threads stop at the kernel's reserve, kernel threads at the page daemon's (T-PG-2)", () => {
  const t = bootVm({ npages: 64 }), { pages, exp } = t.uvm, held: number[] = [];
  const takeAll = (who: KThread): number => {
    const before = t.ctx.cur;
    t.ctx.cur = who;
    for (;;) {
      const pg = pages.allocPrivate(PRIV_BUFFER, 0);
      if (pg === 0) break;
      held.push(pg);
    }
    t.ctx.cur = before;
    return exp.free;
  };
  assert.is(takeAll(new KThread("user", false)), exp.reserveKernel);
  assert.is(takeAll(new KThread("kernel", true)), exp.reservePagedaemon);
  const daemon = new KThread("pagedaemon", true);
  pages.pagedaemon = daemon;
  assert.is(takeAll(daemon), 0);
  for (const pg of held) pages.freePrivate(pg);
  t.check();
});

test("a zeroed page is zero whether it came from the zeroed list or not (T-PG-3)", () => {
  const t = bootVm({ npages: 64 }), { pages, exp } = t.uvm;
  const isZero = (pg: number): boolean => t.mmu.frame(pg).every((b) => b === 0);
  for (let pg = 1; pg < 64; pg++) if (pages.pqflags[pg] === PQ_FREE) t.mmu.frame(pg).fill(0xaa);
  const a = pages.allocPrivate(PRIV_BUFFER, PGA_ZERO);
  assert.ok(isZero(a));
  // One known zero page on the list, as an idle loop would leave it.
  const z = pages.freeList.first();
  t.mmu.frame(z).fill(0);
  pages.freeList.remove(z);
  pages.flags[z]! |= PG_ZERO;
  pages.zeroList.pushTail(z);
  exp.zeropages++;
  t.check();
  const before = t.uvm.hooks.counters(), b = pages.allocPrivate(PRIV_BUFFER, PGA_ZERO);
  assert.is(b, z);
  assert.ok(isZero(b));
  assert.is(t.uvm.hooks.delta(before).pgaZerohit, 1);
  const c = t.delta(() => pages.freePrivate(pages.allocPrivate(PRIV_BUFFER, PGA_ZERO)));
  assert.is(c.pgaZeromiss, 1);
  t.check();
});

test("a page on loan to the kernel goes onto no queue (T-PG-4)", () => {
  const t = bootVm({ npages: 64 }), { pages } = t.uvm, o = newObject(t);
  o.lock.enter();
  const pg = objectPage(t, o, 0);
  lend(t, pg, 1);
  pages.lockQueues();
  pages.pageActivate(pg);
  pages.pageDeactivate(pg);
  pages.pageEnqueue(pg);
  pages.unlockQueues();
  o.lock.exit();
  assert.is(pages.pqflags[pg]! & PQ_QUEUED, 0);
  t.check({ ledger: [pg] });
});

test("a replacement takes the exact place of the page it replaces, markers undisturbed (T-PG-5)", () => {
  for (const which of [0, 1, 2]) {
    for (const marker of ["none", "before", "after"]) {
      const t = bootVm({ npages: 64 }), { pages, hooks } = t.uvm, o = newObject(t);
      o.lock.enter();
      const pgs = [0, 1, 2].map((i) => objectPage(t, o, i * PAGE)), old = pgs[which]!;
      const m = marker === "none" ? 0 : pages.markerInsert(o, marker === "after" ? old : pages.memqPrev[old]!);
      const expected = hooks.memq(o), neu = pages.pageAlloc(null, 0, 0, 0);
      pages.flags[neu]! &= ~PG_FAKE;
      pages.lockQueues();
      pages.pageReplace(old, neu);
      pages.pageActivate(neu);
      pages.unlockQueues();
      pages.pageUnbusy(neu);
      assert.equal(hooks.memq(o), expected.map((pg) => (pg === old ? neu : pg)));
      assert.is(pages.lookup(o, which * PAGE), neu);
      assert.is(pages.uobject[old], null);
      if (m !== 0) pages.markerRemove(o, m);
      freePage(t, old);
      o.lock.exit();
      t.check();
    }
  }
});

test("an object's page that an anon borrows outlives the object's free: dirty, queued, the anon's to adopt (T-PG-6)", () => {
  const t = bootVm({ npages: 64 }), { pages, anons } = t.uvm, o = newObject(t);
  o.lock.enter();
  const pg = objectPage(t, o, 0);
  pages.flags[pg]! |= PG_CLEAN;
  const an = anons.alloc();
  pages.lockQueues();
  anons.page[an] = pg;
  pages.uanon[pg] = an;
  pages.loanCount[pg] = 1;
  pages.unlockQueues();
  freePage(t, pg);
  anons.lockOf(an).exit();
  o.lock.exit();
  assert.is(pages.uobject[pg], null);
  assert.is(pages.uanon[pg], an);
  assert.is(pages.loanCount[pg], 1);
  assert.is(pages.flags[pg]! & PG_CLEAN, 0);
  assert.ok(pages.pqflags[pg]! & PQ_ACTIVE);
  t.check({ anonLoans: [an] });
  const free = t.exp.free;
  t.run((function* () {
    anons.lockOf(an).enter();
    anons.ref[an] = 0;
    yield* anons.free(an);
  })());
  assert.is(t.exp.free, free + 1);
  assert.is(t.exp.loanAdopted, 1);
  t.check();
});

test("a page on loan twice that its object frees stays with the borrowers, and waiters wake (T-PG-7)", () => {
  const t = bootVm({ npages: 64 }), { pages } = t.uvm, o = newObject(t);
  o.lock.enter();
  const pg = objectPage(t, o, 0);
  lend(t, pg, 2);
  pages.pageBusy(pg, "test");
  pages.wantPage(pg);
  o.lock.exit();
  const waiter = t.sched.spawn("waiter", pages.sleepOnPage(pg, "test"));
  t.sched.runUntil(waiter, "test");
  o.lock.enter();
  freePage(t, pg);
  o.lock.exit();
  t.sched.finish(waiter);
  assert.is(pages.loanCount[pg], 2);
  assert.is(pages.flags[pg]! & (PG_BUSY | PG_WANTED | PG_CLEAN), 0);
  assert.ok(pages.isUnowned(pg));
  assert.is(pages.pqflags[pg], 0);
  assert.is(t.exp.loanOrphaned, 1);
  t.check({ ledger: [pg, pg] });
});

test("an anon that frees a page on loan lets go of it (T-PG-8)", () => {
  const t = bootVm({ npages: 64 }), { pages, anons } = t.uvm, { an, pg } = anonPage(t);
  lend(t, pg, 1);
  freePage(t, pg);
  assert.is(anons.page[an], 0);
  assert.is(pages.uanon[pg], 0);
  assert.is(pages.pqflags[pg]! & PQ_ANON, 0);
  assert.is(t.exp.anonpages, 0);
  anons.release(an);
  t.check({ ledger: [pg] });
});

test("a borrower that frees an ownerless page frees it for good (T-PG-9), unless the kernel borrows it too (T-PG-10)", () => {
  for (const k of [0, 1]) {
    const t = bootVm({ npages: 64 }), { pages, anons } = t.uvm, { an, pg } = anonPage(t), before = t.exp.free;
    // The page as an object would have left it: borrowed, not owned.
    pages.pqflags[pg]! &= ~PQ_ANON;
    t.exp.anonpages--;
    pages.loanCount[pg] = 1;
    if (k > 0) lend(t, pg, k);
    freePage(t, pg);
    assert.is(anons.page[an], 0);
    assert.is(pages.loanCount[pg], k);
    assert.is(t.exp.free, before + (k === 0 ? 1 : 0));
    anons.release(an);
    t.check({ ledger: k > 0 ? [pg] : [] });
  }
});

test("freeing a wired page that is not on loan unwires it (T-PG-11)", () => {
  const t = bootVm({ npages: 64 }), { pages } = t.uvm, o = newObject(t);
  o.lock.enter();
  const pg = objectPage(t, o, 0), free = t.exp.free;
  pages.lockQueues();
  pages.pageWire(pg);
  assert.is(t.exp.wired, 1);
  assert.is(pages.pqflags[pg]! & PQ_QUEUED, 0);
  pages.pageFree(pg);
  pages.unlockQueues();
  o.lock.exit();
  assert.is(t.exp.wired, 0);
  assert.is(t.exp.free, free + 1);
  t.check();
});

test("activating and deactivating move a page between the queues", () => {
  const t = bootVm({ npages: 64 }), { pages } = t.uvm, o = newObject(t);
  o.lock.enter();
  const pg = objectPage(t, o, 0);
  assert.ok(pages.pqflags[pg]! & PQ_ACTIVE);
  pages.lockQueues();
  pages.pageDeactivate(pg);
  assert.ok(pages.pqflags[pg]! & PQ_INACTIVE);
  pages.pageEnqueue(pg);
  assert.ok(pages.pqflags[pg]! & PQ_INACTIVE, "enqueue leaves a queued page where it is");
  pages.pageWire(pg);
  pages.pageUnwire(pg);
  assert.ok(pages.pqflags[pg]! & PQ_ACTIVE, "an unwired page is active");
  pages.unlockQueues();
  o.lock.exit();
  t.check();
});

test("freeing a free page stops the machine", () => {
  const t = bootVm({ npages: 64 }), pg = t.uvm.pages.allocPrivate(PRIV_BUFFER, 0);
  t.uvm.pages.freePrivate(pg);
  assert.throws(() => freePage(t, pg), /free already/);
});

test.run();
