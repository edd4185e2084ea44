// vmcheck: every invariant of uvm-spec 1.9 that has a meaning so far, evaluated over everything. Called at quiescent points: no
// simple lock is held, and no thread is between the two halves of a counter's update.
//
// Here are pages, anons, amaps and the counters; checkmap.ts has maps and page tables. Each violation is a line that begins
// with the invariant's name. Invariants of swap, loan ledgers, windows and pipes come with those.
import type { KThread } from "../lib/kthread.ts";
import type { Amap } from "./amap.ts";
import { AMAP_SHARED } from "./amap.ts";
import { checkMaps, checkPmaps } from "./checkmap.ts";
import { UO_AOBJ, UO_VNODE, type UvmObject } from "./object.ts";
import {
  PG_BUSY, PG_FAKE, PG_MARKER, PG_PAGEOUT, PG_RELEASED, PG_TABLED, PG_WANTED, PG_ZERO, PQ_ACTIVE, PQ_ANON, PQ_AOBJ, PQ_FREE,
  PQ_INACTIVE, PQ_QUEUED, PRIV_NONE, type Pages,
} from "./page.ts";
import type { Uvm } from "./uvm.ts";

/** What the checker knows that the structures do not say. */
export interface CheckOptions {
  /** Kernel loans outstanding, once for each: test ledgers. */
  readonly ledger?: readonly number[];
  /** References to anons from outside amaps. */
  readonly anonLoans?: readonly number[];
  /** Pages that are busy on purpose. */
  readonly allowBusy?: readonly number[];
}

/** Every violated invariant; empty when all hold. */
export function vmcheck(uvm: Uvm, opts: CheckOptions = {}): string[] {
  const bad: string[] = [];
  checkLocks(uvm, bad);
  checkQueues(uvm, bad);
  for (let pg = 1; pg < uvm.pages.nframes; pg++) if (uvm.pages.managed[pg] === 1) checkPage(uvm, pg, opts, bad);
  for (const o of objectsOf(uvm)) checkObject(uvm.pages, o, bad);
  checkCounters(uvm, bad);
  checkAnons(uvm, opts, bad);
  for (const am of uvm.amaps) checkAmap(am, bad);
  checkMaps(uvm, bad);
  checkPmaps(uvm, bad);
  return bad;
}

/** The objects that own pages, are mapped, or are listed. */
function objectsOf(uvm: Uvm): Set<UvmObject> {
  const set = new Set(uvm.aobjs);
  for (const o of uvm.pages.uobject) if (o) set.add(o);
  for (const vm of uvm.vmspaces) for (const e of vm.map.tree.entries()) if (e.object) set.add(e.object);
  return set;
}

function checkLocks(uvm: Uvm, bad: string[]): void {
  const t: KThread = uvm.ctx.cur;
  if (t.locks.length > 0) bad.push(`INV-43: ${t.name} holds ${t.locks.map((l) => l.name).join(", ")}`);
}

function checkQueues(uvm: Uvm, bad: string[]): void {
  const { pages, exp } = uvm;
  const walk = (name: string, list: Iterable<number>, bit: number, expect: number): void => {
    let n = 0;
    for (const pg of list) {
      n++;
      if ((pages.pqflags[pg]! & (PQ_FREE | PQ_QUEUED)) !== bit) bad.push(`INV-15: page ${pg} is on ${name} with pqflags ${pages.pqflags[pg]}`);
      if (n > pages.nframes) break;
    }
    if (n !== expect) bad.push(`INV-15: ${n} pages on ${name}, ${expect} counted`);
  };
  walk("active", pages.active.pages(), PQ_ACTIVE, exp.active);
  walk("inactive", pages.inactive.pages(), PQ_INACTIVE, exp.inactive);
  walk("free", pages.freeList.pages(), PQ_FREE, exp.free - exp.zeropages);
  walk("zeroed", pages.zeroList.pages(), PQ_FREE, exp.zeropages);
}

function checkPage(uvm: Uvm, pg: number, opts: CheckOptions, bad: string[]): void {
  const { pages, anons, pmap } = uvm, f = pages.flags[pg]!, q = pages.pqflags[pg]!, uobj = pages.uobject[pg]!, an = pages.uanon[pg]!;
  const loans = pages.loanCount[pg]!, wired = pages.wireCount[pg]!, isBusy = (f & PG_BUSY) !== 0;
  const say = (inv: number, what: string): void => void bad.push(`INV-${inv}: page ${pg}: ${what}`);
  if ((q & PQ_FREE) !== 0) {
    if (loans || wired || uobj || an || (f & ~PG_ZERO) !== 0 || pages.priv[pg] !== PRIV_NONE) say(1, "free but used");
    if (pmap.pvList(pg).length > 0) say(1, "free but mapped");
    return;
  }
  if ((uobj !== null) !== ((f & PG_TABLED) !== 0)) say(2, "PG_TABLED and uobject differ");
  if (uobj && uobj.tree.get(pages.offset[pg]! / 4096) !== pg) say(2, "its object's tree does not have it");
  if (an !== 0 && anons.page[an] !== pg) say(3, `anon ${an} has page ${anons.page[an]}`);
  if ((q & PQ_ANON) !== 0 && (an === 0 || uobj)) say(4, "PQ_ANON but not an anon's own");
  if ((q & PQ_AOBJ) !== 0 !== (uobj?.kind === UO_AOBJ)) say(5, "PQ_AOBJ does not follow the owner");
  if (uobj && an !== 0 && ((q & PQ_ANON) !== 0 || loans < 1)) say(6, "object's and anon's, but not borrowed");
  if (!uobj && an !== 0 && (q & PQ_ANON) === 0 && loans < 1) say(7, "borrowed without a loan");
  if (!uobj && an === 0 && loans === 0 && pages.priv[pg] === PRIV_NONE && !isBusy) say(8, "nobody's");
  const k = pages.kloans(pg), ledger = opts.ledger?.filter((x) => x === pg).length ?? 0;
  if (k !== ledger) say(9, `${k} kernel loans, ${ledger} in ledgers`);
  if (k > 0 && (q & PQ_QUEUED) !== 0) say(10, "on loan to the kernel but queued");
  if (loans > 0 && wired > 0) say(11, "wired and on loan");
  if (wired > 0 && (q & PQ_QUEUED) !== 0) say(13, "wired but queued");
  const isOwned = uobj !== null || an !== 0;
  if (isOwned && !isBusy && wired === 0 && k === 0 && (q & PQ_QUEUED) === 0) say(14, "idle, pageable, on no queue");
  if ((q & PQ_QUEUED) !== 0 && (!isOwned || (f & PG_PAGEOUT) !== 0)) say(15, "queued but not owned, or being paged out");
  if ((f & (PG_WANTED | PG_RELEASED | PG_PAGEOUT)) !== 0 && !isBusy) say(16, `flags ${f.toString(16)} without PG_BUSY`);
  if ((f & PG_RELEASED) !== 0 && (f & PG_PAGEOUT) !== 0) say(16, "RELEASED and PAGEOUT");
  if ((f & PG_RELEASED) !== 0 && (an !== 0 || uobj?.isSwapBacked)) say(17, "RELEASED but swap-backed");
  if ((f & PG_FAKE) !== 0 && (!isBusy || pmap.pvList(pg).length > 0)) say(18, "FAKE but idle or mapped");
  if (isBusy !== (pages.busyOwner[pg] !== null)) say(19, "PG_BUSY and its owner differ");
  if (isBusy && !isBusyAllowed(uvm, pg, opts)) say(44, `busy since ${pages.busyTag[pg]} by ${pages.busyOwner[pg]?.name}`);
}

/** A busy page is in order while its holder is in the middle of something. */
function isBusyAllowed(uvm: Uvm, pg: number, opts: CheckOptions): boolean {
  const owner = uvm.pages.busyOwner[pg];
  return opts.allowBusy?.includes(pg) === true || (owner !== null && owner !== undefined && owner.sleep !== null);
}

function checkObject(pages: Pages, o: UvmObject, bad: string[]): void {
  let n = 0, prev = 0;
  for (let pg = o.memqHead; pg !== 0; prev = pg, pg = pages.memqNext[pg]!) {
    if (pages.memqPrev[pg] !== prev) bad.push(`INV-2: ${o.pgops.name}: memq links broken at ${pg}`);
    if ((pages.flags[pg]! & PG_MARKER) !== 0) continue;
    n++;
    if (pages.uobject[pg] !== o) bad.push(`INV-2: ${o.pgops.name}: page ${pg} in memq is another's`);
    if (n > pages.nframes) break;
  }
  if (o.memqTail !== prev) bad.push(`INV-2: ${o.pgops.name}: memq tail is ${o.memqTail}, last is ${prev}`);
  if (n !== o.npages || o.tree.size !== o.npages) bad.push(`INV-24: ${o.pgops.name}: ${o.npages} pages, memq ${n}, tree ${o.tree.size}`);
}

function checkCounters(uvm: Uvm, bad: string[]): void {
  const { pages, exp } = uvm;
  let wired = 0, kloaned = 0, priv = 0, busyOff = 0, anon = 0, file = 0, paging = 0;
  for (let pg = 1; pg < pages.nframes; pg++) {
    if (pages.managed[pg] !== 1) continue;
    const q = pages.pqflags[pg]!, f = pages.flags[pg]!;
    if ((q & PQ_ANON) !== 0) anon++;
    if ((q & PQ_AOBJ) !== 0) anon++;
    if (pages.uobject[pg]?.kind === UO_VNODE) file++;
    if ((f & PG_PAGEOUT) !== 0) paging++;
    if (pages.wireCount[pg]! > 0) wired++;
    else if (pages.kloans(pg) > 0) kloaned++;
    else if (pages.priv[pg] !== PRIV_NONE) priv++;
    else if ((f & PG_BUSY) !== 0 && (q & (PQ_QUEUED | PQ_FREE)) === 0) busyOff++;
  }
  const expect = (inv: number, name: string, have: number, want: number): void => {
    if (have !== want) bad.push(`INV-${inv}: ${name} is ${have}, should be ${want}`);
  };
  expect(13, "wired", exp.wired, wired);
  expect(20, "paging", exp.paging, paging);
  expect(22, "npages", exp.npages, exp.free + exp.active + exp.inactive + wired + kloaned + busyOff + priv);
  expect(23, "anonpages", exp.anonpages, anon);
  expect(23, "filepages + execpages", exp.filepages + exp.execpages, file);
}

function checkAnons(uvm: Uvm, opts: CheckOptions, bad: string[]): void {
  const { anons, pages } = uvm, refs = new Int32Array(anons.end);
  for (const am of uvm.amaps) for (const an of am.anons) if (an !== 0) refs[an]!++;
  for (const an of opts.anonLoans ?? []) refs[an]!++;
  for (let an = 1; an < anons.end; an++) {
    const pg = anons.page[an]!;
    if (anons.ref[an] !== refs[an]) bad.push(`INV-33: anon ${an}: an_ref ${anons.ref[an]}, ${refs[an]} references`);
    if (pg !== 0 && pages.uanon[pg] !== an) bad.push(`INV-3: anon ${an}: page ${pg} belongs to anon ${pages.uanon[pg]}`);
    if (refs[an]! > 0 && pg === 0 && anons.swslot[an] === 0) bad.push(`INV-30: anon ${an} is nowhere`);
  }
}

function checkAmap(am: Amap, bad: string[]): void {
  const say = (inv: number, what: string): void => void bad.push(`INV-${inv}: amap: ${what}`);
  if (!(am.nused <= am.nslot && am.nslot <= am.maxslot)) say(32, `nused ${am.nused}, nslot ${am.nslot}, maxslot ${am.maxslot}`);
  let used = 0;
  for (let s = 0; s < am.maxslot; s++) if (am.anons[s] !== 0) used++;
  if (used !== am.nused) say(32, `${used} slots hold anons, ${am.nused} listed`);
  for (let i = 0; i < am.nused; i++) {
    const s = am.slots[i]!;
    if (am.anons[s] === 0 || am.bckptr[s] !== i) say(32, `slot ${s} and its back pointer differ`);
  }
  if ((am.flags & AMAP_SHARED) !== 0 && am.ref < 2) say(35, "shared by one");
}
