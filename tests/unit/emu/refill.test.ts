// The TLB's refill in WebAssembly: when it may answer, and that what it answers is what TypeScript would.
import { A, D, G, LOAD_ACCESS, LOAD_PAGE, MmuProbe, PRIV_S, PRIV_U, R, STORE_ACCESS, STORE_PAGE, U, V, W, X } from "../../helpers/mmuprobe.ts";
import { PMPADDR0, PMPCFG0 } from "../../../emu/machine.ts";
import { PMP_R, PMP_RWX, PMP_W } from "../../../emu/hart/pmp.ts";
import { Prng } from "../../../emu/dev/prng.ts";
import { assert, suite } from "../../helpers/suite.ts";

const test = suite("refill");
const VA = 0x40_0000, SUPER = 0x4000_0000, DATA = 0x8020_0000, RWAD = V | R | W | A | D, MIB2 = 0x20_0000;

/** A probe whose frames say which they are, with refill and ways to ask what it did. */
class RefillProbe extends MmuProbe {
  constructor(options: ConstructorParameters<typeof MmuProbe>[0] = {}) {
    // Whatever engine the tests run with: nothing here is to be hot, because the checker takes rights to write away around each region.
    super({ engine: "jit", tuning: {}, ...options });
    for (let frame = 0; frame < 0x1f0; frame++) this.machine.ram.i32[(DATA - 0x8000_0000 + frame * 4096) / 4 + 2] = frame;
  }

  /** Entries that refill made during `act`. */
  refills(act: () => void): number {
    const { mmu } = this.machine.hart, before = mmu.stats.refills;
    act();
    return mmu.stats.refills - before;
  }

  /** The frame that a load of an address comes to, or the cause of its trap, negative. */
  came(va: number, priv = PRIV_S): number {
    const outcome = this.load(va + 8, priv);
    return outcome === 0 ? this.loaded & 0xffff : -outcome;
  }
}

test("a miss is answered without TypeScript, from the root and from a kept table, and the statistics say so", () => {
  const probe = new RefillProbe(), { mmu } = probe.machine.hart;
  for (let i = 0; i < 4; i++) probe.map(VA + i * 4096, DATA + i * 4096, RWAD);
  const { fills } = mmu.stats, { walks, shortWalks } = mmu.walker;
  assert.is(probe.refills(() => assert.equal([0, 1, 2, 3].map((i) => probe.came(VA + i * 4096)), [0, 1, 2, 3])), 4);
  assert.equal([mmu.stats.fills - fills, mmu.walker.walks - walks, mmu.walker.shortWalks - shortWalks], [4, 4, 3]);
  assert.is(probe.refills(() => probe.store(VA)), 0, "the entry lets stores pass");
  const entry = probe.machine.tlbEntries().find((e) => e.va === VA + 4096)!;
  assert.equal(entry, { kind: "data", va: VA + 4096, pa: DATA + 4096, asid: 0, priv: 1, global: false, level: 0, read: true, write: true });
});

test("what no valid PTE leads to is a page fault, for which TypeScript does not walk again", () => {
  const probe = new RefillProbe(), { walker } = probe.machine.hart.mmu, walk = walker.walk.bind(walker);
  let walks = 0;
  walker.walk = (...args) => {
    walks++;
    return walk(...args);
  };
  probe.map(VA, DATA, RWAD);
  probe.map(VA + 4096, DATA, V | R | A);
  // No leaf, no table of leaves, nothing in the root: by a walk from the root, and from the kept table.
  for (const va of [VA + 8192, VA + MIB2, SUPER * 8, VA + 8192]) assert.equal([probe.came(va), probe.store(va), probe.load(va + 2)], [-LOAD_PAGE, STORE_PAGE, LOAD_PAGE]);
  assert.is(walks, 0);
  assert.is(probe.store(VA + 4096), STORE_PAGE, "a leaf without W");
  assert.is(probe.load(VA + 8192 - 4), LOAD_PAGE, "half of it is mapped");
  assert.ok(walks >= 2);
});

test("a table that changed is seen after a fence, and where it lies too, when it was freed and used again", () => {
  const probe = new RefillProbe(), { hart } = probe.machine, leaf = probe.map(VA, DATA, RWAD);
  const middle = probe.ptePa(probe.pte(probe.ptePa(probe.root, VA, 2)) >>> 10, VA, 1), table = probe.pte(middle) >>> 10;
  assert.is(probe.came(VA), 0);
  probe.setPte(leaf, DATA + 4096, RWAD);
  assert.is(probe.came(VA), 0, "stale");
  hart.fenceVa(VA, -1);
  assert.is(probe.refills(() => assert.is(probe.came(VA), 1)), 1);
  // The table becomes a page of data that looks like leaves; another takes its place.
  const other = probe.newTable();
  probe.setPte(probe.ptePa(other, VA, 0), DATA + 2 * 4096, RWAD);
  probe.setPte(leaf, DATA + 3 * 4096, RWAD);
  probe.setPte(middle, other * 4096, V);
  hart.fenceAll();
  assert.is(probe.refills(() => assert.is(probe.came(VA), 2)), 1);
  assert.is.not(other, table);
  probe.setPte(middle, 0, 0);
  hart.fenceAsid(0);
  assert.is(probe.came(VA), -LOAD_PAGE);
});

test("rights that went are missed after a fence; A and D are set by TypeScript", () => {
  const probe = new RefillProbe(), { hart } = probe.machine, leaf = probe.map(VA, DATA, V | R | W);
  assert.is(probe.refills(() => assert.equal([probe.load(VA), probe.store(VA)], [0, 0])), 0);
  assert.is(probe.pte(leaf) & (A | D), A | D);
  for (const [rights, load, store] of [[V | R | A | D, 0, STORE_PAGE], [V | X | A | D, LOAD_PAGE, STORE_PAGE], [V | W | A | D, LOAD_PAGE, STORE_PAGE], [RWAD, 0, 0]] as const) {
    probe.setPte(leaf, DATA, rights);
    hart.fenceVa(VA, -1);
    assert.equal([probe.load(VA), probe.store(VA)], [load, store], `rights ${rights}`);
    hart.fenceVa(VA, -1);
    assert.equal([probe.store(VA), probe.load(VA)], [store, load], `rights ${rights}, the store first`);
  }
  probe.setPte(leaf, DATA, RWAD, 1 << 31);
  hart.fenceVa(VA, -1);
  assert.equal([probe.load(VA), probe.store(VA)], [LOAD_PAGE, STORE_PAGE], "a reserved bit");
  probe.setPte(leaf, DATA, V | R | W | A);
  hart.fenceVa(VA, -1);
  assert.is(probe.refills(() => assert.is(probe.load(VA), 0)), 1, "a load does not want D");
  assert.is(probe.refills(() => assert.is(probe.store(VA), 0)), 0, "a store does");
  assert.is(probe.pte(leaf) & D, D);
});

test("U, SUM and MXR are those of the moment", () => {
  const probe = new RefillProbe();
  probe.map(VA, DATA, RWAD | U);
  probe.map(VA + 4096, DATA, V | X | A);
  probe.map(VA + 8192, DATA, RWAD);
  for (let round = 0; round < 2; round++) {
    for (const [sum, mxr, user, code] of [[false, false, LOAD_PAGE, LOAD_PAGE], [true, false, 0, LOAD_PAGE], [true, true, 0, 0], [false, true, LOAD_PAGE, 0]] as const) {
      Object.assign(probe, { sum, mxr });
      assert.equal([probe.load(VA), probe.load(VA + 4096), probe.load(VA + 8192)], [user, code, 0], `sum ${sum} mxr ${mxr}`);
      assert.equal([probe.load(VA, PRIV_U), probe.load(VA + 8192, PRIV_U)], [0, LOAD_PAGE], `sum ${sum} mxr ${mxr}, user`);
    }
    probe.machine.hart.fenceAll();
  }
  assert.ok(probe.machine.hart.mmu.stats.refills > 0);
});

test("a fence anywhere in a superpage finds the fragments that refill made, in each context and again after a flush", () => {
  const probe = new RefillProbe(), { hart } = probe.machine, leaf = probe.map(SUPER, DATA, RWAD, 1);
  for (const fence of [() => hart.fenceVa(SUPER + 99 * 4096, -1), () => hart.fenceAsid(0), () => hart.fenceAll(), () => hart.fenceVa(SUPER, -1)]) {
    for (const sum of [false, true]) {
      probe.sum = sum;
      assert.is(probe.came(SUPER), 0);
      assert.is(probe.refills(() => assert.equal([5, 70, 300].map((i) => probe.came(SUPER + i * 4096)), [5, 70, 300])), 3);
    }
    probe.setPte(leaf, 0, 0);
    fence();
    for (const sum of [false, true]) {
      probe.sum = sum;
      assert.equal([0, 5, 70, 300].map((i) => probe.came(SUPER + i * 4096)), [-LOAD_PAGE, -LOAD_PAGE, -LOAD_PAGE, -LOAD_PAGE]);
    }
    probe.setPte(leaf, DATA, RWAD);
  }
  probe.setPte(leaf, DATA + 4096, RWAD);
  hart.fenceVa(SUPER, -1);
  assert.is(probe.came(SUPER), -LOAD_PAGE, "misaligned");
});

test("global pages that refill filled outlive an ASID's fence, and no others do", () => {
  const probe = new RefillProbe(), { hart } = probe.machine, own = probe.map(VA, DATA, RWAD), shared = probe.map(VA + 4096, DATA + 4096, RWAD | G);
  probe.setSatp(1);
  assert.is(probe.refills(() => assert.equal([probe.came(VA), probe.came(VA + 4096)], [0, 1])), 2);
  probe.setPte(own, DATA + 2 * 4096, RWAD);
  probe.setPte(shared, DATA + 3 * 4096, RWAD | G);
  hart.fenceAsid(1);
  assert.equal([probe.came(VA), probe.came(VA + 4096)], [2, 1]);
  hart.fenceVa(VA + 4096, -1);
  assert.is(probe.came(VA + 4096), 3);
});

test("the seventeenth context's bank is refilled from nothing", () => {
  const probe = new RefillProbe();
  const leaf = probe.map(SUPER, DATA, RWAD, 1);
  for (let asid = 1; asid <= 40; asid++) {
    probe.setSatp(asid);
    for (const i of [0, 1, 2]) assert.is(probe.came(SUPER + i * 4096), i);
  }
  probe.setPte(leaf, DATA + MIB2 / 2, RWAD);
  probe.setPte(leaf, 0, 0);
  probe.machine.hart.fenceVa(SUPER + 4096, -1);
  for (let asid = 40; asid > 0; asid--) {
    probe.setSatp(asid);
    for (const i of [0, 1, 2]) assert.is(probe.came(SUPER + i * 4096), -LOAD_PAGE);
  }
});

test("PMP as it is now: of data, of tables, and of a page that it divides", () => {
  const probe = new RefillProbe(), { hart } = probe.machine;
  for (let i = 0; i < 3; i++) probe.map(VA + i * 4096, DATA + i * 4096, RWAD);
  const protect = (pa: number, lenBytes: number, rights: number) => {
    hart.writeCsr(PMPADDR0 + 1, (1n << 54n) - 1n);
    hart.writeCsr(PMPADDR0, BigInt((pa + lenBytes / 2 - 4) / 4));
    hart.writeCsr(PMPCFG0, BigInt(0x1f18 | rights));
  };
  protect(DATA, 4096, PMP_R);
  assert.is(probe.refills(() => assert.equal([probe.load(VA), probe.store(VA), probe.store(VA + 4096)], [0, STORE_ACCESS, 0])), 2);
  protect(DATA, 4096, 0);
  assert.equal([probe.load(VA), probe.store(VA), probe.load(VA + 4096)], [LOAD_ACCESS, STORE_ACCESS, 0]);
  protect(DATA + 4096, 256, 0);
  assert.is(probe.refills(() => assert.equal([probe.load(VA), probe.load(VA + 4096), probe.load(VA + 4096 + 256)], [0, LOAD_ACCESS, 0])), 1);
  protect(probe.root * 4096, 4096, 0);
  assert.is(probe.load(VA + 8192), LOAD_ACCESS);
  protect(probe.pte(probe.ptePa(probe.root, VA, 2)) >>> 10 << 12 >>> 0, 64, PMP_R);
  assert.is(probe.refills(() => assert.is(probe.load(VA + 8192), 0)), 0, "a table of which only a part may be read");
  protect(DATA, 4096, PMP_RWX);
  assert.is(probe.refills(() => assert.is(probe.store(VA), 0)), 1);
});

test("stores to a page of code come to TypeScript: one that becomes it, and one that was it when its entry went", () => {
  const probe = new RefillProbe(), { hart } = probe.machine;
  probe.map(VA, DATA, RWAD | X);
  assert.is(probe.refills(() => assert.is(probe.store(VA + 0x100), 0)), 1);
  assert.is(probe.fetch(VA), 0);
  const decodes = (act: () => void): boolean => {
    const before = hart.code.decodes;
    act();
    return hart.code.decodes > before;
  };
  assert.is(probe.refills(() => assert.is(probe.store(VA), 0)), 0);
  assert.ok(decodes(() => assert.is(probe.fetch(VA), 0)), "the store was seen");
  assert.not.ok(decodes(() => assert.is(probe.fetch(VA), 0)), "and only once");
  hart.fenceAll();
  assert.is(probe.refills(() => assert.is(probe.load(VA), 0)), 1, "loads are served");
  assert.is(probe.refills(() => assert.is(probe.store(VA), 0)), 0);
  assert.ok(decodes(() => assert.is(probe.fetch(VA), 0)), "and this one");
});

test("a page whose stores are watched", () => {
  const probe = new RefillProbe();
  let seen = 0;
  probe.map(VA, DATA, RWAD);
  probe.store(VA);
  probe.machine.hart.watch(DATA, () => seen++);
  assert.is(probe.refills(() => probe.store(VA)), 0);
  probe.machine.hart.fenceAll();
  assert.is(probe.refills(() => probe.load(VA)), 1);
  probe.store(VA + 16);
  assert.is(seen, 2);
});

test("devices, page ends and bare memory are TypeScript's, and a misaligned access is not", () => {
  const probe = new RefillProbe();
  probe.map(VA, DATA, RWAD);
  probe.map(VA + 4096, DATA + 4096, RWAD);
  probe.map(VA + 8192, 0x1000_0000, RWAD);
  assert.is(probe.refills(() => assert.equal([probe.load(VA + 4092), probe.store(VA + 4093)], [0, 0])), 0);
  assert.is(probe.refills(() => probe.load(VA + 8192)), 0);
  probe.machine.hart.fenceAll();
  assert.is(probe.refills(() => assert.equal([probe.load(VA + 13), probe.store(VA + 3)], [0, 0])), 1);
  probe.setSatp(0, 0, 0);
  assert.is(probe.refills(() => assert.is(probe.load(DATA), 0)), 0);
});

test("Sv48, and addresses that are not canonical", () => {
  const probe = new RefillProbe(), root = probe.newTable(), va = 0x7123_4560_0000;
  probe.map(va, DATA, RWAD, 0, root, 4);
  probe.map(-va, DATA + 4096, RWAD, 0, root, 4);
  probe.map(VA, DATA, RWAD);
  probe.map(-VA, DATA + 4096, RWAD);
  assert.is(probe.refills(() => assert.equal([probe.came(VA), probe.came(-VA)], [0, 1])), 2);
  assert.equal([2 ** 39 + VA, 2 ** 52 + VA, -(2 ** 40) + VA].map((at) => probe.load(at)), [LOAD_PAGE, LOAD_PAGE, LOAD_PAGE]);
  probe.setSatp(0, root, 9);
  assert.is(probe.refills(() => assert.equal([probe.came(va), probe.came(-va)], [0, 1])), 2);
  assert.equal([2 ** 48 + va, 2 ** 52 + va].map((at) => probe.load(at)), [LOAD_PAGE, LOAD_PAGE]);
});

test("tiny, hostile and check: none", () => {
  for (const options of [{ tlb: "tiny" }, { tlb: "hostile" }, { engine: "check" }] as const) {
    const probe = new RefillProbe(options);
    probe.map(VA, DATA, RWAD);
    probe.map(SUPER, DATA, RWAD, 1);
    assert.is(probe.refills(() => assert.equal([probe.load(VA), probe.store(VA), probe.load(SUPER), probe.load(SUPER + 4096)], [0, 0, 0, 0])), 0);
  }
});

/** One thing that a guest may do, the same on any probe. => what is to be compared */
type Deed = (probe: RefillProbe) => unknown;

/** Chooses a deed; addresses that share slots, tables and superpages are many. */
function anyDeed(below: (n: number) => number): Deed {
  const pick = <T>(...of: T[]): T => of[below(of.length)]!;
  const va = pick(VA, VA + 0x100_0000, SUPER, SUPER + MIB2, -VA, -SUPER) + below(4) * 4096, pa = DATA + below(16) * 4096, priv = pick(PRIV_S, PRIV_S, PRIV_U);
  const rights = pick(RWAD, RWAD, RWAD | U, RWAD | G, V | R | W, V | R | A, V | W | A | D, V | X | A, below(256)), at = va + pick(8, 8, 13, 4089), asid = below(3);
  const addr = BigInt((pick(pa, 0x8010_0000 + below(8) * 4096) + pick(2044, 124)) / 4), cfg = BigInt(0x1f18 | pick(0, PMP_R, PMP_R | PMP_W, PMP_RWX));
  switch (below(16)) {
    case 0: case 1: return (p) => p.map(va, pa, rights);
    case 2: return (p) => p.map(va, DATA + pick(0, 0, 0, 4096), rights, va % MIB2 === 0 ? 1 : 0);
    case 3: return (p) => p.machine.hart.fenceVa(va, pick(-1, -1, asid));
    case 4: return (p) => (below(2) === 0 ? p.machine.hart.fenceAll() : p.machine.hart.fenceAsid(asid));
    case 5: return (p) => p.setSatp(asid);
    case 6: return (p) => void Object.assign(p, { sum: below(2) === 0, mxr: below(4) === 0 });
    case 7: return (p) => p.fetch(va, priv);
    case 8: return (p) => {
      p.machine.hart.writeCsr(PMPADDR0, addr);
      p.machine.hart.writeCsr(PMPADDR0 + 1, (1n << 54n) - 1n);
      p.machine.hart.writeCsr(PMPCFG0, below(4) > 0 ? 0x1f1fn : cfg);
    };
    case 9: case 10: case 11: return (p) => p.store(at, priv);
    default: return (p) => [0, 4096, 0x100_0000, MIB2, -MIB2].map((away) => [p.load(at + away, priv), p.loaded]);
  }
}

test("random deeds: the same outcomes, tables and TLB as without refill, fenced or not", () => {
  let refills = 0;
  for (let seed = 1; seed <= 8; seed++) {
    const random = new Prng(seed), ad = seed % 2 === 0 ? "hw" : "svade";
    const probes = [new RefillProbe({ ad }), new RefillProbe({ ad, engine: "check" })];
    for (const va of [VA, SUPER, -VA]) for (let i = 0; i < 4; i++) for (const probe of probes) probe.map(va + i * 4096, DATA + i * 4096, RWAD);
    for (let n = 0; n < 1200; n++) {
      const choices = Array.from({ length: 32 }, () => random.next());
      const states = probes.map((probe) => {
        let used = 0;
        const seen = anyDeed((limit) => choices[used++ % choices.length]! % limit)(probe);
        return { seen, entries: probe.machine.tlbEntries() };
      });
      assert.equal(states[0], states[1], `seed ${seed}, deed ${n}`);
    }
    assert.equal(probes[0]!.machine.ram.u8.subarray(0x10_0000), probes[1]!.machine.ram.u8.subarray(0x10_0000), `seed ${seed}`);
    refills += probes[0]!.machine.hart.mmu.stats.refills;
    assert.is(probes[1]!.machine.hart.mmu.stats.refills, 0);
  }
  assert.ok(refills > 500, String(refills));
});

test.run();
