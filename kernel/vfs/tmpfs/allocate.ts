// Room in files of a tmpfs: pages that are there before they are written, and pages that are given back.
//
//   mode 0, KEEP_SIZE         |page|page|page|····|      every page of the range exists, zeroes where nothing was written
//   PUNCH_HOLE | KEEP_SIZE    |pag0|    |0age|····|      whole pages are freed, the ends zeroed
//
// Pages behind the end of a file wait for it to grow; truncation frees them. As on Linux there is no ZERO_RANGE here.
import { EFBIG, ENOSPC, EOPNOTSUPP } from "../../lib/errno.ts";
import type { KGen } from "../../lib/kthread.ts";
import { PAGE_SIZE } from "../../hal/physmem.ts";
import { PROT_WRITE } from "../../hal/prot.ts";
import { PGO_FREE, PGO_PASTEOF } from "../../uvm/object.ts";
import { PG_BUSY, PG_CLEAN, PG_FAKE, PG_RDONLY } from "../../uvm/page.ts";
import { FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE } from "../vnode.ts";
import type { TmpVnode } from "./tmpfs.ts";

/**
 * fallocate(2) of a regular file.
 *
 * => mayGrow says whether the caller may make the file so large: 0 or -errno
 * => 0; -ENOSPC with nothing changed; -EFBIG; -EOPNOTSUPP
 */
export function* tmpAllocate(v: TmpVnode, mode: number, offset: number, len: number, limitPages: number, mayGrow: (size: number) => number): KGen<number> {
  const end = offset + len;
  if ((mode & ~(FALLOC_KEEP_SIZE | FALLOC_PUNCH_HOLE)) !== 0) return -EOPNOTSUPP;
  if (end > v.maxSize) return -EFBIG;
  const grows = mode === 0 && end > v.vSize, refused = grows ? mayGrow(end) : 0;
  if (refused < 0) return refused;
  const error = (mode & FALLOC_PUNCH_HOLE) !== 0 ? yield* punch(v, offset, end) : yield* reserve(v, offset, end, limitPages);
  if (error < 0) return error;
  if (grows && end > v.vSize) v.vSize = v.vWriteSize = end;
  v.touchedData();
  return 0;
}

/** Makes every page of a range exist. */
function* reserve(v: TmpVnode, offset: number, end: number, limitPages: number): KGen<number> {
  const { pages } = v.mount.vfs.uvm, first = Math.floor(offset / PAGE_SIZE), last = Math.ceil(end / PAGE_SIZE), made: number[] = [];
  if (last - first > limitPages) return -ENOSPC;
  for (let i = first; i < last; i++) {
    const pg = v.uobj.tree.get(i), isNew = pg === 0;
    if (!isNew && (pages.flags[pg]! & (PG_BUSY | PG_FAKE | PG_RDONLY)) === 0) continue;
    const error = yield* onPage(v, i, PROT_WRITE, () => {});
    if (error < 0) {
      yield* giveBack(v, made);
      return error;
    }
    if (isNew) made.push(i);
  }
  return 0;
}

/** Frees pages that were made in vain, unless somebody stored to them meanwhile. => made: ascending */
function* giveBack(v: TmpVnode, made: readonly number[]): KGen<void> {
  const { pmap } = v.mount.vfs.uvm, unused = made.filter((i) => !pmap.pmapIsModified(v.uobj.tree.get(i)));
  for (let from = 0; from < unused.length;) {
    let to = from + 1;
    while (to < unused.length && unused[to] === unused[to - 1]! + 1) to++;
    yield* free(v, unused[from]! * PAGE_SIZE, (unused[to - 1]! + 1) * PAGE_SIZE);
    from = to;
  }
}

/** => 0 < to: page boundaries, as from */
function* free(v: TmpVnode, from: number, to: number): KGen<number> {
  v.uobj.lock.enter();
  return yield* v.putpages(from, to, PGO_FREE);
}

function* punch(v: TmpVnode, offset: number, end: number): KGen<number> {
  const from = Math.ceil(offset / PAGE_SIZE) * PAGE_SIZE, to = Math.floor(end / PAGE_SIZE) * PAGE_SIZE;
  let error = 0;
  if (to < from) return yield* zero(v, offset, end);
  if (from < to) error = yield* free(v, from, to);
  if (error >= 0) error = yield* zero(v, offset, from);
  return error < 0 ? error : yield* zero(v, to, end);
}

/** Zeroes a part of one page, if that exists. */
function* zero(v: TmpVnode, from: number, to: number): KGen<number> {
  const i = Math.floor(from / PAGE_SIZE), { mem } = v.mount.vfs;
  if (from >= to || !v.uobj.tree.has(i)) return 0;
  return yield* onPage(v, i, PROT_WRITE, (pg) => {
    mem.page(pg).fill(0, from - i * PAGE_SIZE, to - i * PAGE_SIZE);
    mem.touched(pg * PAGE_SIZE, PAGE_SIZE);
  });
}

/** Does something with a page of the file while it is busy; makes it if it is missing. */
function* onPage(v: TmpVnode, index: number, access: number, act: (pg: number) => void): KGen<number> {
  const { pages } = v.mount.vfs.uvm, pgs = new Int32Array(1);
  v.uobj.lock.enter();
  const error = yield* v.getpages(index * PAGE_SIZE, pgs, 1, 0, access, 0, PGO_PASTEOF);
  if (error < 0) return error;
  const pg = pgs[0]!;
  v.uobj.lock.enter();
  act(pg);
  pages.flags[pg]! &= ~PG_CLEAN;
  pages.lockQueues();
  pages.pageActivate(pg);
  pages.unlockQueues();
  pages.pageUnbusy(pg);
  v.uobj.lock.exit();
  return 0;
}
