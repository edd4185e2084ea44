// Breaking a loan: the lender's user is about to store, or to wire, so it gets a fresh page and the borrower keeps the old
// one as it was (uvm-spec 3.7, 3.8). Making and ending loans is another file's work.
import { KASSERT } from "../lib/kassert.ts";
import { PROT_NONE } from "../hal/prot.ts";
import type { UvmObject } from "./object.ts";
import { PG_BUSY, PG_CLEAN, PG_FAKE, PQ_ANON } from "./page.ts";
import type { Uvm } from "./uvm.ts";

/**
 * Replaces an object's loaned page by a copy. BSD: uvm_loanbreak.
 *
 * => object locked in and out; pg busy, released inside; the new page comes back busy
 * => 0: no memory, nothing changed. After success the caller has no right to pg whatever
 */
export function loanbreakObject(uvm: Uvm, pg: number): number {
  const { pages, pmap } = uvm, uobj = pages.uobject[pg]!;
  KASSERT(uobj && uobj.lock.isOwned && (pages.flags[pg]! & PG_BUSY) !== 0 && pages.loanCount[pg]! > 0, "loanbreak: wrong page");
  const neu = pages.pageAlloc(null, 0, 0, 0);
  if (neu === 0) return 0;
  pmap.pmapCopyPage(pg, neu);
  pmap.pmapPageProtect(pg, PROT_NONE);
  const wasClean = (pages.flags[pg]! & PG_CLEAN) !== 0 && !pmap.pmapClearModify(pg);
  pages.flags[neu]! &= ~(PG_FAKE | PG_CLEAN);
  if (wasClean) pages.flags[neu]! |= PG_CLEAN;
  pages.lockQueues();
  pages.pageReplace(pg, neu);
  if (pages.uanon[pg] === 0) pages.pageDequeue(pg);
  else pages.flags[pg]! &= ~PG_CLEAN;
  pages.pageActivate(neu);
  pages.unlockQueues();
  pages.pageUnbusy(pg);
  uvm.exp.loanbreakO++;
  return neu;
}

/**
 * Gives an anon whose page is on loan, or borrowed, a page of its own. BSD: uvm_loanbreak_anon.
 *
 * => anon locked in and out; uobj = the page's object or null, locked in; unlocked on success, still locked on failure
 * => the new page, queued and not busy; 0: no memory, nothing changed
 */
export function loanbreakAnon(uvm: Uvm, an: number, uobj: UvmObject | null): number {
  const { pages, anons, pmap } = uvm, old = anons.page[an]!;
  KASSERT(pages.loanCount[old]! > 0 && (pages.flags[old]! & PG_BUSY) === 0, "loanbreak: page is not on loan, or busy");
  const neu = pages.pageAlloc(null, 0, 0, 0);
  if (neu === 0) return 0;
  pmap.pmapCopyPage(old, neu);
  pmap.pmapPageProtect(old, PROT_NONE);
  pages.lockQueues();
  pages.uanon[old] = 0;
  if (uobj) {
    pages.loanCount[old]!--;
    uvm.exp.anonpages++;
    if (pages.loanCount[old] === 0) pages.pageEnqueue(old);
  } else {
    KASSERT((pages.pqflags[old]! & PQ_ANON) !== 0, "loanbreak: page is nobody's");
    pages.pqflags[old]! &= ~PQ_ANON;
    pages.pageDequeue(old);
  }
  anons.page[an] = neu;
  anons.swslot[an] = 0;
  pages.uanon[neu] = an;
  pages.pqflags[neu]! |= PQ_ANON;
  pages.flags[neu]! &= ~(PG_FAKE | PG_CLEAN);
  pages.pageActivate(neu);
  pages.unlockQueues();
  pages.pageUnbusy(neu);
  uobj?.lock.exit();
  uvm.exp.loanbreakA++;
  return neu;
}
