// The page tables of one hart against the real MMU, in each of its TLB and A/D modes: uvm-spec 8.10, T-PM-1 to T-PM-20.
//
// Left for the issue that brings several harts: the remote half of T-PM-6 (here: the same with one hart's hot TLB, and that one
// shootdown is counted). Left for loans: that a page which uvm_loan made is the one of T-PM-16 (here its count is set by hand).
import { readdirSync, readFileSync } from "node:fs";
import { Ram } from "../../emu/machine.ts";
import { ACCESS_STORE, Walker, WALK_OK, WALK_PAGE_FAULT } from "../../emu/mmu/walk.ts";
import type { Pmp } from "../../emu/hart/pmp.ts";
import {
  DIRECT_MAP, type Pmap, PMAP_WIRED, PTE_A, PTE_D, PTE_G, PTE_MANAGED, PTE_R, PTE_U, PTE_V, PTE_W, PTE_WIRED, PTE_X,
} from "../../kernel/hal/pmap.ts";
import { ENOMEM } from "../../kernel/lib/errno.ts";
import { PG_RDONLY } from "../../kernel/uvm/page.ts";
import { VM_MIN_KERNEL } from "../../kernel/uvm/uvm.ts";
import { randomOf } from "../helpers/fsbox.ts";
import {
  FETCH_FAULT, LOAD_FAULT, PAGE, PMAP_MODES, PmapBox, type PmapBoxOptions, PRIV_S, PRIV_U, R, RW, STORE_FAULT, W, X,
} from "../helpers/pmapbox.ts";
import { assert, suite } from "../helpers/suite.ts";

const VA = 0x40_0000, KVA = VM_MIN_KERNEL, MEGA = 2 ** 21, LI_A0 = (n: number): number => (n << 20) | 0x513;

/** One page of the model of T-PM-1. */
interface Mapped { pg: number; prot: number; wired: boolean }

function randomAgainstModel(box: PmapBox, steps: number, seed: number): void {
  const r = randomOf(seed), pms = [box.space(), box.space()], pages = Array.from({ length: 8 }, (_, i) => box.frame(i + 1)), { pmap } = box;
  const model = pms.map(() => new Map<number, Mapped>()), vas = [0, 1, 2, 511, 512, 2 ** 18].map((n) => VA + n * PAGE);
  const clip = (m: Map<number, Mapped>, lo: number, hi: number, prot: number): void => {
    for (const [va, e] of m) if (va >= lo && va < hi) (prot & R) === 0 ? m.delete(va) : m.set(va, { ...e, prot: e.prot & prot });
  };
  for (let step = 0; step < steps; step++) {
    const who = r(2), pm = pms[who]!, m = model[who]!, va = vas[r(vas.length)]!, what = r(10), n = r(pages.length), end = va + (1 + r(600)) * PAGE;
    if (what < 4) {
      const prot = [R, RW, R | X, RW | X][r(4)]!, wired = r(4) === 0;
      assert.is(box.enter(pm, va, pages[n]!, prot, (r(2) === 0 ? prot : 0) | (wired ? PMAP_WIRED : 0)), 0);
      m.set(va, { pg: pages[n]!, prot, wired });
    } else if (what === 4) {
      pmap.pmapRemove(pm, va, end);
      clip(m, va, end, 0);
    } else if (what === 5) {
      const prot = [R, R | X, RW, 0][r(4)]!;
      pmap.pmapProtect(pm, va, end, prot);
      clip(m, va, end, prot);
    } else if (what === 6) {
      const prot = r(2) === 0 ? R : 0;
      pmap.pmapPageProtect(pages[n]!, prot);
      for (const x of model) for (const [at, e] of x) if (e.pg === pages[n]) prot === 0 ? x.delete(at) : x.set(at, { ...e, prot: e.prot & ~W });
    } else if (what === 7) {
      pmap.pmapUnwire(pm, va);
      const e = m.get(va);
      if (e) m.set(va, { ...e, wired: false });
    }
    const e = m.get(va), got = box.load(pm, va);
    assert.is(got, e ? pages.indexOf(e.pg) + 1 : -1, `step ${step}: load`);
    assert.is(box.store(pm, va, pages.indexOf(e?.pg ?? 0) + 1), e && (e.prot & W) !== 0 ? 0 : STORE_FAULT, `step ${step}: store`);
    if (step % 20 === 0) compare(box, pms, model, pages, `step ${step}`);
  }
}

/** Tables, counts and reverse mappings say what the model says. */
function compare(box: PmapBox, pms: Pmap[], model: Map<number, Mapped>[], pages: number[], when: string): void {
  pms.forEach((pm, i) => {
    const m = model[i]!;
    assert.is(pm.residentCount, m.size, `${when}: resident`);
    assert.is(pm.wiredCount, [...m.values()].filter((e) => e.wired).length, `${when}: wired`);
    for (const [va, e] of m) assert.equal([box.pmap.pmapExtract(pm, va), box.rights(pm, va)], [box.uvm.paOf(e.pg), e.prot], `${when}: ${va.toString(16)}`);
  });
  for (const pg of pages) {
    const want = pms.flatMap((_pm, i) => [...model[i]!].filter(([, e]) => e.pg === pg).map(([va]) => `${i}:${va}`)).sort();
    assert.equal(box.pmap.pvList(pg).map((e) => `${pms.indexOf(e.pm)}:${e.va}`).sort(), want, `${when}: pv`);
  }
}

function inMode(mode: PmapBoxOptions): void {
  const test = suite(`pmap (${mode.ad}, ${mode.tlb} TLB)`), hasHardwareAd = mode.ad !== "svade";
  // One machine serves a mode's tests: each makes its own pmaps, and takes the kernel's mappings away again.
  const box = new PmapBox(mode), { pmap } = box;

  test("T-PM-1: what enter, remove and protect leave is what a model says, reverse mappings too", () => {
    for (const seed of [1, 2]) randomAgainstModel(box, 300, seed * 7919);
  });

  test("T-PM-5: a store after clear_modify and clear_reference sets the bits again, though the TLB was hot", () => {
    const pm = box.space(), pg = box.frame(), asked = box.uvmFaults;
    box.enter(pm, VA, pg, RW);
    box.store(pm, VA, 1);
    assert.ok(pmap.pmapIsModified(pg) && pmap.pmapIsReferenced(pg));
    assert.equal([pmap.pmapClearModify(pg), pmap.pmapClearReference(pg)], [true, true]);
    assert.equal([pmap.pmapClearModify(pg), pmap.pmapIsModified(pg), pmap.pmapIsReferenced(pg)], [false, false, false]);
    box.load(pm, VA);
    assert.equal([pmap.pmapIsModified(pg), pmap.pmapIsReferenced(pg)], [false, true]);
    assert.is(box.store(pm, VA, 2), 0);
    assert.is(pmap.pmapIsModified(pg), true);
    assert.is(box.uvmFaults, asked);
  });

  test("T-PM-6: page_protect(READ) is one shootdown, and the next store faults though the TLB let it write", () => {
    const pm = box.space(), pg = box.frame(), { stats } = pmap.flush;
    box.enter(pm, VA, pg, RW);
    assert.is(box.store(pm, VA, 1), 0);
    const before = stats.shootdowns;
    pmap.pmapPageProtect(pg, R);
    assert.is(stats.shootdowns - before, 1);
    assert.is(box.try(pm, VA, W), STORE_FAULT);
    assert.is(pmap.pmapFixup(pm, VA, W), false, "the right is missing, not a bit");
    assert.is(box.load(pm, VA), 1);
    assert.is(pmap.pmapIsModified(pg), true, "what the killed right did is kept");
  });

  test("T-PM-7: page_protect(NONE) takes a page out of three maps; the kernel's unmanaged mapping stays", () => {
    const pms = [box.space(), box.space(), box.space()], pg = box.frame(0x5a);
    for (const pm of pms) {
      box.enter(pm, VA, pg, RW);
      assert.is(box.load(pm, VA), 0x5a);
    }
    pmap.pmapKenterPa(KVA, box.uvm.paOf(pg), R);
    assert.is(box.try(pms[0]!, KVA, R, PRIV_S), 0);
    pmap.pmapPageProtect(pg, 0);
    for (const pm of pms) assert.equal([box.try(pm, VA, R), pm.residentCount, pmap.pmapExtract(pm, VA)], [LOAD_FAULT, 0, -1]);
    assert.equal(pmap.pvList(pg), []);
    assert.is(box.try(pms[0]!, KVA, R, PRIV_S), 0);
    assert.is(pmap.pmapExtract(pmap.kernelPmap, KVA), box.uvm.paOf(pg));
    pmap.pmapKremove(KVA, PAGE);
  });

  test("T-PM-8: ten address spaces with three ASIDs, or none, never see each other's pages", () => {
    for (const asidBits of mode.tlb === "hostile" ? [0, 2] : [2]) {
      const few = new PmapBox({ ...mode, asidBits }), pms = Array.from({ length: 10 }, () => few.space());
      pms.forEach((pm, i) => few.enter(pm, VA, few.frame(i + 1), RW));
      for (let round = 0; round < 3; round++) pms.forEach((pm, i) => assert.is(few.load(pm, VA), i + 1, `${asidBits} bits, round ${round}`));
      // Unmapped while its ASID is of an older generation: nothing of it may come back.
      few.pmap.pmapRemove(pms[0]!, VA, VA + PAGE);
      assert.is(few.load(pms[0]!, VA), -1);
      assert.is(few.load(pms[1]!, VA), 2);
    }
  });

  test("T-PM-9: kremove and another page at the same address, with a user's ASID active: the new one is seen", () => {
    const pm = box.space(), [a, b] = [box.frame(1), box.frame(2)];
    const look = (): number => (box.try(pm, KVA, R, PRIV_S) === 0 ? box.loaded : -1);
    pmap.pmapKenterPa(KVA, box.uvm.paOf(a), RW);
    assert.is(look(), 1);
    assert.ok(pm.asid !== 0);
    pmap.pmapKremove(KVA, PAGE);
    pmap.pmapUpdate(pmap.kernelPmap);
    assert.is(look(), -1);
    pmap.pmapKenterPa(KVA, box.uvm.paOf(b), R);
    assert.is(look(), 2);
    assert.is(box.try(pm, KVA, W, PRIV_S), STORE_FAULT, "a store that the kernel's own tables forbid");
    // More at once than are fenced one by one.
    pmap.pmapKremove(KVA, PAGE);
    for (let i = 0; i < 40; i++) pmap.pmapKenterPa(KVA + i * PAGE, box.uvm.paOf(a), R);
    pmap.pmapUpdate(pmap.kernelPmap);
    for (let i = 0; i < 40; i++) assert.is(box.try(pm, KVA + i * PAGE, R, PRIV_S), 0);
    pmap.pmapKremove(KVA, 40 * PAGE);
    pmap.pmapUpdate(pmap.kernelPmap);
    for (let i = 0; i < 40; i++) assert.is(box.try(pm, KVA + i * PAGE, R, PRIV_S), LOAD_FAULT);
  });

  test("T-PM-10: addresses that are not canonical, superpages out of line and reserved bits are page faults of the access's kind", () => {
    const pm = box.space(), faults = [LOAD_FAULT, STORE_FAULT, FETCH_FAULT];
    const tryAll = (va: number): number[] => [R, W, X].map((access) => box.try(pm, va, access));
    for (const va of [2 ** 38, 2 ** 52, -(2 ** 38) - PAGE]) assert.equal(tryAll(va), faults, va.toString(16));
    const leaf = (): number => (box.pmap.pmapWalk(pm, VA)!.ptePa - 0x8000_0000) / 4, { i32 } = box.hal.mem;
    for (let bit = 54; bit < 64; bit++) {
      box.enter(pm, VA, box.frame(), RW | X);
      i32[leaf() + 1] = 1 << (bit - 32);
      box.machine.hart.fenceAll();
      assert.equal(tryAll(VA), faults, `bit ${bit}`);
      i32[leaf() + 1] = 0;
    }
    // W without R; and the table's own entry turned into a leaf of 2 MiB in the middle of one.
    i32[leaf()]! &= ~PTE_R;
    box.machine.hart.fenceAll();
    assert.equal(tryAll(VA), faults);
    box.pmap.pmapRemove(pm, VA, VA + PAGE);
    const megaAt = (i32[pm.rootPg * 1024]! >>> 10) * 1024 + (VA / MEGA) * 2 - 0x80000 * 1024;
    i32[megaAt] = ((0x80000 + 1) << 10) | PTE_V | PTE_R | PTE_W | PTE_X | PTE_U | PTE_A | PTE_D;
    box.machine.hart.fenceAll();
    assert.equal(tryAll(VA), faults);
  });

  test("T-PM-14: users stay out of the kernel's half, the kernel out of users' pages without SUM, and never runs them", () => {
    const pm = box.space(), pg = box.frame(9), { kernelPmap } = pmap;
    box.enter(pm, VA, pg, RW | X);
    pmap.pmapKenterPa(KVA, box.uvm.paOf(pg), RW);
    for (const va of [KVA, DIRECT_MAP + 2 * PAGE]) {
      assert.equal([R, W, X].map((a) => box.try(pm, va, a, PRIV_U)), [LOAD_FAULT, STORE_FAULT, FETCH_FAULT]);
      assert.is(pmap.pmapFixup(pm, va, R), false, "a user's fault there is not fixed");
      assert.is(pmap.pmapFixup(kernelPmap, va, R), true);
    }
    assert.equal([R, W].map((a) => box.try(pm, VA, a, PRIV_S)), [LOAD_FAULT, STORE_FAULT]);
    assert.equal([R, W].map((a) => box.try(pm, VA, a, PRIV_S, 9, true)), [0, 0]);
    assert.is(box.try(pm, VA, X, PRIV_S), FETCH_FAULT);
    assert.is(box.try(pm, KVA, X, PRIV_S), FETCH_FAULT, "no kernel data runs");
    assert.is(box.try(pm, KVA, R, PRIV_S), 0);
    pmap.pmapKremove(KVA, PAGE);
  });

  test("T-PM-15: remove_all and destroy leave no mapping, no table and nothing in the TLB for the next one", () => {
    const { uvm } = box, free = uvm.exp.free, pages = [box.frame(1), box.frame(2)];
    const pm = box.space();
    for (let i = 0; i < 40; i++) {
      box.enter(pm, VA + i * MEGA, pages[i & 1]!, RW);
      assert.is(box.store(pm, VA + i * MEGA, 3), 0);
    }
    pmap.pmapRemoveAll(pm);
    pmap.pmapRemove(pm, 0, 2 ** 38);
    assert.equal([pm.residentCount, pm.wiredCount, ...pages.map((pg) => pmap.pvList(pg).length)], [0, 0, 0, 0]);
    assert.is(pmap.pmapIsModified(pages[0]!), true, "what the mappings knew is kept");
    for (let i = 0; i < 40; i++) assert.is(box.try(pm, VA + i * MEGA, R), LOAD_FAULT);
    pmap.pmapDestroy(pm);
    assert.equal([pm.tables.length, uvm.exp.free, pmap.stats.tablePages > 0], [0, free - 2, true]);
    const next = box.space();
    assert.is(box.try(next, VA, R), LOAD_FAULT);
    box.enter(next, VA, pages[1]!, R);
    assert.throws(() => pmap.pmapDestroy(next), /mappings/);
  });

  test("T-PM-17: a stale entry after R became RW costs at most a spurious fault, which uvm does not hear of", () => {
    const pm = box.space(), pg = box.frame();
    box.enter(pm, VA, pg, R);
    assert.is(box.load(pm, VA), 0);
    const at = (pmap.pmapWalk(pm, VA)!.ptePa - 0x8000_0000) / 4;
    // As rights come back after a loan: nothing is fenced.
    box.hal.mem.i32[at]! |= PTE_W | PTE_D;
    const before = pmap.stats.spuriousFaults, asked = box.uvmFaults;
    assert.is(box.store(pm, VA, 1), 0);
    assert.is(box.uvmFaults, asked);
    assert.is(pmap.stats.spuriousFaults - before, mode.tlb === "hostile" && !hasHardwareAd ? 1 : 0);
    assert.is(box.load(pm, VA), 1);
  });

  test("T-PM-18: code rewritten between two mprotects runs as rewritten", () => {
    const pm = box.space(), pg = box.frame(), { hart } = box.machine;
    for (const value of [11, 22, 33]) {
      box.enter(pm, VA, pg, RW);
      const code = LI_A0(value);
      for (let i = 0; i < 4; i++) assert.is(box.store(pm, VA + i, (code >>> (8 * i)) & 255), 0);
      pmap.pmapProtect(pm, VA, VA + PAGE, R);
      assert.is(box.access(pm, VA, X), FETCH_FAULT);
      box.enter(pm, VA, pg, R | X);
      assert.is(box.access(pm, VA, X), 0);
      assert.is(hart.reg(10), value);
      assert.is(box.access(pm, VA, W), STORE_FAULT);
    }
  });

  if (hasHardwareAd) {
    test("T-PM-4: the hart sets A and D itself; is_modified and is_referenced see them, and they outlive the mapping", () => {
      const pm = box.space(), pg = box.frame(), { fixups } = pmap.stats;
      box.enter(pm, VA, pg, RW, 0);
      assert.is(box.pte(pm, VA) & (PTE_A | PTE_D), 0);
      assert.is(box.try(pm, VA, R), 0);
      assert.equal([box.pte(pm, VA) & (PTE_A | PTE_D), pmap.pmapIsReferenced(pg), pmap.pmapIsModified(pg)], [PTE_A, true, false]);
      assert.is(box.try(pm, VA, W), 0);
      assert.equal([box.pte(pm, VA) & (PTE_A | PTE_D), pmap.pmapIsModified(pg), pmap.stats.fixups], [PTE_A | PTE_D, true, fixups]);
      pmap.pmapRemove(pm, VA, VA + PAGE);
      assert.equal([pmap.pmapIsModified(pg), pmap.pmapIsReferenced(pg)], [true, true]);
    });
  } else {
    test("T-PM-3: a clear A or D is a fault that fixup resolves, with the attributes set and without uvm", () => {
      const pm = box.space(), pg = box.frame(), { fixups } = pmap.stats, asked = box.uvmFaults;
      box.enter(pm, VA, pg, RW, 0);
      assert.is(box.try(pm, VA, R), LOAD_FAULT);
      assert.is(box.load(pm, VA), 0);
      assert.equal([pmap.stats.fixups - fixups, pmap.pmapIsReferenced(pg), pmap.pmapIsModified(pg)], [1, true, false]);
      assert.is(box.try(pm, VA, W), STORE_FAULT);
      assert.is(box.store(pm, VA, 1), 0);
      assert.equal([pmap.stats.fixups - fixups, pmap.pmapIsModified(pg), box.uvmFaults - asked], [2, true, 0]);
      assert.is(box.pte(pm, VA) & (PTE_A | PTE_D), PTE_A | PTE_D);
      // A fetch of a page without X is not a matter of bits.
      assert.is(pmap.pmapFixup(pm, VA, X), false);
    });
  }

  test.run();
}

for (const mode of PMAP_MODES) inMode(mode);

// ---- what has nothing to do with the hart's mode -------------------------------------------------------------------

const test = suite("pmap");

test("T-PM-2: write or execute without read gets read; every PTE is one that section 6.2 lists", () => {
  const box = new PmapBox(), pm = box.space(), pg = box.frame(), bits = (1 << 10) - 1;
  const pte = (prot: number, flags: number): number => {
    box.enter(pm, VA, pg, prot, flags);
    return box.pte(pm, VA) & bits;
  };
  const base = PTE_V | PTE_R | PTE_U | PTE_MANAGED;
  assert.is(pte(W, 0), base | PTE_W);
  assert.is(pte(X, 0), base | PTE_X);
  assert.is(pte(R, R), base | PTE_A);
  assert.is(pte(R, W), base | PTE_A, "a store is not allowed, so D stays clear");
  assert.is(pte(RW, W | PMAP_WIRED), base | PTE_W | PTE_A | PTE_D | PTE_WIRED);
  box.enter(box.pmap.kernelPmap, KVA, pg, RW, W);
  assert.is(box.pte(pm, KVA) & bits, PTE_V | PTE_R | PTE_W | PTE_G | PTE_A | PTE_D | PTE_MANAGED);
  box.pmap.pmapKenterPa(KVA + PAGE, box.uvm.paOf(pg), R);
  assert.is(box.pte(pm, KVA + PAGE) & bits, PTE_V | PTE_R | PTE_G | PTE_A | PTE_WIRED);
  assert.throws(() => box.pmap.pmapKenterPa(KVA + PAGE, box.uvm.paOf(pg), R), /kenter over/);
});

test("T-PM-11: without a frame for a table enter is ENOMEM and nothing is left at va; where it may not fail it panics", () => {
  const box = new PmapBox({ npages: 128 }), pm = box.space(), pg = box.frame(), other = VA + 2 ** 30, held: number[] = [], { uvm } = box;
  box.enter(pm, VA, pg, RW);
  for (;;) {
    const p = uvm.pages.allocPrivate(1, 0);
    if (p === 0) break;
    held.push(p);
  }
  assert.is(box.enter(pm, other, pg, RW), -ENOMEM);
  assert.equal([box.pmap.pmapExtract(pm, other), pm.residentCount, box.pmap.pvList(pg).length], [-1, 1, 1]);
  assert.throws(() => box.pmap.pmapEnter(pm, other, uvm.paOf(pg), RW, R), /no frame/);
  assert.is(box.load(pm, VA), 0, "others are untouched");
  box.hal.failPmapEnter = () => true;
  assert.is(box.enter(pm, VA, pg, R), -ENOMEM, "in the place of a mapping");
  assert.equal([box.load(pm, VA), pm.residentCount, box.pmap.pvList(pg).length], [-1, 0, 0]);
  box.hal.failPmapEnter = () => false;
  for (const p of held) uvm.pages.freePrivate(p);
  assert.is(box.enter(pm, other, pg, RW), 0);
});

test("T-PM-12: wired mappings are counted through enter, enter again, unwire and remove", () => {
  const box = new PmapBox(), pm = box.space(), [a, b] = [box.frame(), box.frame()], { pmap } = box, counts = (): number[] => [pm.residentCount, pm.wiredCount];
  box.enter(pm, VA, a, RW, PMAP_WIRED);
  box.enter(pm, VA + PAGE, a, RW, PMAP_WIRED);
  assert.equal(counts(), [2, 2]);
  box.enter(pm, VA, b, R, PMAP_WIRED);
  assert.equal(counts(), [2, 2]);
  box.enter(pm, VA, b, R, 0);
  assert.equal(counts(), [2, 1]);
  pmap.pmapUnwire(pm, VA + PAGE);
  pmap.pmapUnwire(pm, VA + PAGE);
  pmap.pmapUnwire(pm, VA + 7 * PAGE);
  assert.equal(counts(), [2, 0]);
  box.enter(pm, VA, b, R, PMAP_WIRED);
  pmap.pmapProtect(pm, VA, VA + 2 * PAGE, 0);
  assert.equal(counts(), [0, 0]);
});

test("T-PM-13: the direct map reaches all RAM through leaves as large as fit, and tracks nothing", () => {
  const box = new PmapBox({ npages: 1024 + 5 }), { pmap } = box, { kernelPmap } = pmap, pg = box.frame();
  for (let p = 0; p < 1029; p++) {
    const leaf = pmap.pmapWalk(kernelPmap, DIRECT_MAP + p * PAGE)!;
    assert.equal([pmap.pmapExtract(kernelPmap, DIRECT_MAP + p * PAGE + 5), leaf.level], [box.uvm.paOf(p) + 5, p < 1024 ? 1 : 0]);
    assert.is(leaf.pteLo & (PTE_R | PTE_W | PTE_X | PTE_U | PTE_G | PTE_A | PTE_D), PTE_R | PTE_W | PTE_G | PTE_A | PTE_D);
  }
  assert.is(pmap.pmapExtract(kernelPmap, DIRECT_MAP + 1029 * PAGE), -1);
  assert.is(box.store(kernelPmap, DIRECT_MAP + pg * PAGE, 0x77), 0);
  assert.is(box.hal.mem.page(pg)[0], 0x77);
  assert.equal([pmap.pmapIsModified(pg), pmap.pmapIsReferenced(pg), pmap.pvList(pg).length], [false, false, 0]);
  const giga = new PmapBox({ npages: 2 ** 18 + 512 }), g = giga.pmap;
  assert.equal([0, 2 ** 18 - 1, 2 ** 18].map((p) => g.pmapWalk(g.kernelPmap, DIRECT_MAP + p * PAGE)!.level), [2, 2, 1]);
  assert.is(giga.load(g.kernelPmap, DIRECT_MAP + 2 ** 30 - 1), giga.hal.mem.u8[2 ** 30 - 1]);
});

test("T-PM-16: a page on loan, read-only or free is never mapped writable", () => {
  const box = new PmapBox(), pm = box.space(), { pages } = box.uvm, may = /mapped writable/;
  const loaned = box.frame(), readOnly = box.frame(), free = box.frame();
  // The tables exist, so that the free frame is not taken for one.
  box.enter(pm, VA, loaned, R);
  pages.loanCount[loaned] = 1;
  pages.flags[readOnly]! |= PG_RDONLY;
  pages.freePrivate(free);
  for (const pg of [loaned, readOnly, free]) assert.throws(() => box.enter(pm, VA, pg, RW), may);
  for (const pg of [loaned, readOnly]) assert.is(box.enter(pm, VA, pg, R | X), 0);
  pages.loanCount[loaned] = 0;
  assert.is(box.enter(pm, VA, loaned, RW), 0);
});

test("T-PM-19: a PTE that changes between walk and A/D update is walked again, and its new form decides", () => {
  const ram = new Ram(new ArrayBuffer(65536), 0, 65536), walker = new Walker(ram, { allows } as unknown as Pmp), [root, mid, low] = [1, 2, 3];
  const at = (table: number, i: number): number => table * 1024 + 2 * i, pfn = (n: number): number => (0x80000 + n) << 10;
  let change: (() => void) | null = null;
  // PMP is asked for the right to store right before the compare-and-swap: here somebody else is quicker.
  function allows(_pa: number, _n: number, rights: number): boolean {
    if ((rights & 2) !== 0 && change) [change, change] = [null, change()!];
    return true;
  }
  walker.setRoot(3, 0x80000 + root, 8 << 28);
  ram.i32[at(root, 0)] = pfn(mid) | PTE_V;
  ram.i32[at(mid, 0)] = pfn(low) | PTE_V;
  const set = (pte: number): void => void (ram.i32[at(low, 5)] = pte), leaf = (): number => ram.i32[at(low, 5)]!, RWU = PTE_V | PTE_R | PTE_W | PTE_U;
  set(pfn(8) | RWU);
  change = () => set(pfn(9) | RWU);
  assert.is(walker.walk(5 * PAGE, 0, ACCESS_STORE, PRIV_U), WALK_OK);
  assert.equal([walker.ppn, leaf()], [0x80000 + 9, pfn(9) | RWU | PTE_A | PTE_D]);
  set(pfn(8) | RWU);
  change = () => set(pfn(8) | (RWU & ~PTE_W));
  assert.is(walker.walk(5 * PAGE, 0, ACCESS_STORE, PRIV_U), WALK_PAGE_FAULT);
  assert.is(leaf(), pfn(8) | (RWU & ~PTE_W), "no bit is set in a PTE that was not walked");
  set(pfn(8) | RWU);
  change = () => set(0);
  assert.is(walker.walk(5 * PAGE, 0, ACCESS_STORE, PRIV_U), WALK_PAGE_FAULT);
  assert.is(leaf(), 0);
});

test("T-PM-20: the pmap knows no pager and no loan but for its assertion", () => {
  const source = readdirSync("kernel/hal").map((f) => readFileSync(`kernel/hal/${f}`, "utf8").split("\n"));
  const words = source.flat().filter((line) => /\bloan|pager|\buvm\//i.test(line) && !/assertMayMapWrite|Asserts that the frame may be mapped writable|^\/\//.test(line.trim()));
  assert.equal(words, []);
  const box = new PmapBox(), kva = box.uvm.kernelMap;
  assert.equal([kva.min, kva.max], [VM_MIN_KERNEL, -(2 ** 30)], "one kernel map; no range of it is the pager's");
});

test.run();
