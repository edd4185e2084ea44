// The virtual memory against a model of bytes (uvm-spec 8.14, T-RM-1 without what later issues bring): random sequences of map,
// unmap, protect, inherit, fork, exit, load and store over several address spaces, private and shared memory and files, with
// every invariant checked after each step. A failing sequence is shrunk, and printed with its seed.
import fc from "fast-check";
import { EFAULT, EINVAL, ENOMEM } from "../../kernel/lib/errno.ts";
import { uaoCreate } from "../../kernel/uvm/aobj.ts";
import { uvmMapClean, uvmMapDiscard } from "../../kernel/uvm/mapclean.ts";
import { ADV_SEQUENTIAL, INH_COPY, INH_NONE, INH_SHARE, INH_ZERO } from "../../kernel/uvm/mapentry.ts";
import { uvmMapAdvise, uvmMapInherit, uvmMapProtect } from "../../kernel/uvm/mapops.ts";
import { uvmMapPageable } from "../../kernel/uvm/mapwire.ts";
import { mappingAt, uvmMremap } from "../../kernel/uvm/mremap.ts";
import { PGO_CLEANIT } from "../../kernel/uvm/object.ts";
import { uvmspaceFork, type Vmspace } from "../../kernel/uvm/vmspace.ts";
import { bootVm, MODES, modeName, PAGE, R, RW, W, type BootOptions, type TestVm } from "../helpers/bootvm.ts";
import { assert, suite } from "../helpers/suite.ts";
import { TestFile } from "../helpers/testfile.ts";

const BASE = 0x200000, SLOTS = 40, FILE_PAGES = 24;

/** A byte that everybody who maps it sees. */
interface Cell { byte: number }
/** What an address shows: its own cell, or until the first store the object's. minherit shares views. */
interface View { cell: Cell; owned: boolean }
/** What the model knows of one page of one space. */
interface ModelPage { view: View; prot: number; inherit: number; isPrivate: boolean; wired: boolean; file: Cell | null }

class Model {
  readonly t: TestVm;
  readonly file: TestFile;
  readonly fileCells: Cell[];
  readonly spaces: { vm: Vmspace; pages: (ModelPage | null)[] }[] = [];

  constructor(mode: BootOptions) {
    this.t = bootVm({ npages: 768, ...mode });
    this.file = new TestFile(this.t, FILE_PAGES);
    this.fileCells = Array.from({ length: FILE_PAGES }, (_, i) => ({ byte: i + 1 }));
    this.spaces.push({ vm: this.t.space(), pages: new Array<ModelPage | null>(SLOTS).fill(null) });
  }

  space(n: number): { vm: Vmspace; pages: (ModelPage | null)[] } {
    return this.spaces[n % this.spaces.length]!;
  }
}

const newPage = (isPrivate: boolean): ModelPage =>
  ({ view: { cell: { byte: 0 }, owned: true }, prot: RW, inherit: isPrivate ? INH_COPY : INH_SHARE, isPrivate, wired: false, file: null });

/** The page gets a cell of its own, with the bytes it shows. */
function own(view: View): Cell {
  if (!view.owned) {
    view.cell = { byte: view.cell.byte };
    view.owned = true;
  }
  return view.cell;
}

type Step = { readonly op: string; readonly s: number; readonly at: number; readonly n: number; readonly v: number };
type Act = (m: Model, x: Step) => void;

const va = (slot: number): number => BASE + slot * PAGE;
const len = (x: Step): number => Math.min(x.n, SLOTS - x.at);

const ACTS: Record<string, Act> = {
  mapPrivate(m, x) {
    const { vm, pages } = m.space(x.s);
    assert.is(m.t.map(vm, va(x.at), len(x)), va(x.at));
    for (let i = 0; i < len(x); i++) pages[x.at + i] = newPage(true);
  },
  mapShared(m, x) {
    const { vm, pages } = m.space(x.s), n = len(x);
    m.t.map(vm, va(x.at), n, { uobj: uaoCreate(m.t.uvm, n * PAGE), copyOnWrite: false, inherit: INH_SHARE });
    for (let i = 0; i < n; i++) pages[x.at + i] = newPage(false);
  },
  mapFile(m, x) {
    const { vm, pages } = m.space(x.s), first = x.v % FILE_PAGES, n = Math.min(len(x), FILE_PAGES - first), isPrivate = x.v % 2 === 0;
    m.file.vref();
    m.t.map(vm, va(x.at), n, { uobj: m.file.uobj, offset: first * PAGE, copyOnWrite: isPrivate, inherit: isPrivate ? INH_COPY : INH_SHARE });
    for (let i = 0; i < n; i++) {
      const cell = m.fileCells[first + i]!;
      pages[x.at + i] = { ...newPage(isPrivate), view: { cell, owned: !isPrivate }, file: cell };
    }
  },
  unmap(m, x) {
    const { vm, pages } = m.space(x.s);
    m.t.unmap(vm, va(x.at), len(x));
    pages.fill(null, x.at, x.at + len(x));
  },
  protect(m, x) {
    const { vm, pages } = m.space(x.s), prot = [0, R, RW, R][x.v % 4]!, range = pages.slice(x.at, x.at + len(x));
    const r = m.t.run(uvmMapProtect(vm.map, va(x.at), va(x.at + len(x)), prot));
    assert.is(r, range.every((p) => p) ? 0 : -ENOMEM);
    if (r === 0) for (const p of range) p!.prot = prot;
  },
  inherit(m, x) {
    const { vm, pages } = m.space(x.s), kind = [INH_COPY, INH_SHARE, INH_NONE, INH_ZERO][x.v % 4]!;
    m.t.run(uvmMapInherit(vm.map, va(x.at), va(x.at + len(x)), kind));
    for (const p of pages.slice(x.at, x.at + len(x))) if (p) p.inherit = kind;
  },
  advise(m, x) {
    m.t.run(uvmMapAdvise(m.space(x.s).vm.map, va(x.at), va(x.at + len(x)), x.v % (ADV_SEQUENTIAL + 1)));
  },
  store(m, x) {
    const { vm, pages } = m.space(x.s), p = pages[x.at]!, r = m.t.store(vm, va(x.at), x.v);
    if (!p || (p.prot & W) === 0) return void assert.ok(r < 0);
    assert.is(r, 0);
    own(p.view).byte = x.v;
  },
  load(m, x) {
    const { vm, pages } = m.space(x.s);
    for (let i = x.at; i < x.at + len(x); i++) {
      const p = pages[i]!, r = m.t.load(vm, va(i));
      if (!p || p.prot === 0) assert.ok(r < 0, `slot ${i}`);
      else assert.is(r, p.view.cell.byte, `slot ${i}`);
    }
  },
  fork(m, x) {
    if (m.spaces.length >= 4) return;
    const { vm, pages } = m.space(x.s), child = m.t.fork(vm);
    // What is shared from here on is no longer replaced by a store of one side.
    m.spaces.push({ vm: child, pages: pages.map((p) => (p ? forkPage(p) : null)) });
  },
  /** A store during which one allocation or pmap_enter fails: it waits, starts again, and nobody sees a difference. */
  storeFailing(m, x) {
    const kind = (["page", "anon", "amap", "pmapEnter"] as const)[x.n % 4]!;
    m.t.uvm.hooks.fail(kind, 1 + (x.v % 2));
    ACTS.store!(m, x);
    m.t.uvm.hooks.fail(kind, null);
  },
  /** A fork that finds no memory undoes everything; one that does is no different. */
  forkFailing(m, x) {
    if (m.spaces.length >= 4) return;
    const kind = (["page", "amap", "ppref"] as const)[x.n % 3]!, { vm, pages } = m.space(x.s);
    m.t.uvm.hooks.fail(kind, 1 + (x.v % 4));
    const child = m.t.run(uvmspaceFork(vm));
    m.t.uvm.hooks.fail(kind, null);
    if (typeof child === "number") assert.is(child, -ENOMEM);
    else m.spaces.push({ vm: child, pages: pages.map((p) => (p ? forkPage(p) : null)) });
  },
  exit(m, x) {
    if (m.spaces.length < 2) return;
    const [dead] = m.spaces.splice(x.s % m.spaces.length, 1);
    m.t.free(dead!.vm);
  },
  wire(m, x) {
    const { vm, pages } = m.space(x.s), range = pages.slice(x.at, x.at + len(x)), wire = x.v % 2 === 0;
    const r = m.t.run(uvmMapPageable(vm.map, va(x.at), va(x.at + len(x)), { wire }));
    const ok = range.every((p) => p && (wire ? p.prot !== 0 : p.wired));
    assert.is(r, ok ? 0 : -ENOMEM);
    if (r !== 0) return;
    for (const p of range) {
      p!.wired = wire;
      // To wire writable private memory is to own it.
      if (wire && (p!.prot & W) !== 0) own(p!.view);
    }
  },
  wireOnFault(m, x) {
    const { vm, pages } = m.space(x.s), range = pages.slice(x.at, x.at + len(x));
    // When a private page of a file is copied depends on what is mapped.
    if (range.some((p) => p?.isPrivate && p.file)) return;
    const r = m.t.run(uvmMapPageable(vm.map, va(x.at), va(x.at + len(x)), { wire: true, onFault: true }));
    assert.is(r, range.every((p) => p && p.prot !== 0) ? 0 : -ENOMEM);
    if (r === 0) for (const p of range) p!.wired = true;
  },
  discard(m, x) {
    const { vm, pages } = m.space(x.s), range = pages.slice(x.at, x.at + len(x));
    // What minherit shares is the sharers' business too.
    if (range.some((p) => p && sharers.has(p.view)) || range.some((p) => p?.wired)) return;
    const r = m.t.run(uvmMapDiscard(vm.map, va(x.at), va(x.at + len(x))));
    if (r !== 0) return;
    for (const p of range) if (p!.isPrivate) p!.view = { cell: p!.file ?? { byte: 0 }, owned: p!.file === null };
  },
  /** mremap to a place: kept or not, longer, shorter, doubled, or first to wherever there is room. */
  remap(m, x) {
    const { vm, pages } = m.space(x.s), to = (x.at + x.v) % SLOTS, kind = x.v % 5, n = len(x);
    if (to < x.at + n && x.at < to + n) return;
    const isTwin = kind === 1, isKept = kind === 2, old = isTwin ? 0 : n, moved = pages.slice(x.at, x.at + n);
    // Of what gets shorter, only what moves must be one mapping.
    const size = Math.min(n, SLOTS - to), must = isTwin || kind === 3 ? n : size, whole = mappingAt(vm.map, va(x.at), va(x.at + must)) !== null;
    const req = { from: va(x.at), oldSize: (isKept ? size : old) * PAGE, size: size * PAGE, to: va(to), fixed: true, mayMove: true, keepOld: isKept };
    if (isTwin && !whole) return;
    if (isTwin && moved.some((p) => p!.isPrivate)) return assert.is(m.t.run(uvmMremap(vm.map, req)), -EINVAL);
    if (!whole && kind !== 3) return assert.is(m.t.run(uvmMremap(vm.map, req)), -EFAULT);
    if (!whole) return;
    if (kind === 3) {
      const at = m.t.run(uvmMremap(vm.map, { ...req, size: n * PAGE, to: 0, fixed: false, keepOld: true }));
      assert.ok(at > va(SLOTS), "room above");
      m.t.check();
      assert.is(m.t.run(uvmMremap(vm.map, { ...req, from: at })), va(to));
    } else assert.is(m.t.run(uvmMremap(vm.map, req)), va(to));
    for (let i = 0; i < n; i++) {
      const p = moved[i]!;
      if (!isTwin && (kind === 3 || (isKept && i < size))) pages[x.at + i] = { ...p, wired: false, view: p.isPrivate ? { cell: p.file ?? { byte: 0 }, owned: p.file === null } : p.view };
      else if (!isTwin && !isKept) pages[x.at + i] = null;
    }
    for (let i = 0; i < size; i++) pages[to + i] = isTwin ? { ...moved[i]!, wired: moved[0]!.wired && moved[i]!.prot !== 0 } : moved[i]!;
  },
  /** mremap in place: longer where there is room, or shorter. */
  resize(m, x) {
    const { vm, pages } = m.space(x.s), n = len(x), end = x.at + n, last = pages[end - 1], size = 1 + (x.v % (SLOTS - x.at));
    const req = { from: va(x.at), oldSize: n * PAGE, size: size * PAGE, to: 0, fixed: false, mayMove: false, keepOld: false };
    if (size <= n) {
      assert.is(m.t.run(uvmMremap(vm.map, req)), pages[x.at] ? va(x.at) : -EFAULT);
      if (pages[x.at]) pages.fill(null, x.at + size, end);
      return;
    }
    const file = last?.file ? m.fileCells.indexOf(last.file) : -1;
    if (last && (last.file || !last.isPrivate) && (file < 0 || file + size - n >= FILE_PAGES)) return;
    const whole = mappingAt(vm.map, va(x.at), va(end)) !== null, free = pages.slice(end, x.at + size).every((p) => !p);
    assert.is(m.t.run(uvmMremap(vm.map, req)), !whole ? -EFAULT : free ? va(x.at) : -ENOMEM);
    if (!whole || !free) return;
    for (let i = 1; i <= size - n; i++) {
      const cell = file < 0 ? null : m.fileCells[file + i]!, { prot, inherit, isPrivate, wired } = last!;
      const p: ModelPage = { ...newPage(isPrivate), prot, inherit, file: cell, wired: wired && prot !== 0 };
      if (cell) p.view = { cell, owned: !isPrivate };
      if (p.wired && (prot & W) !== 0) own(p.view);
      pages[end - 1 + i] = p;
    }
  },
  /** Moves during which page tables cannot be had: mappings are lost and come back. */
  remapFailing(m, x) {
    let calls = 0;
    m.t.mmu.failPmapEnter(() => ++calls % (1 + (x.v % 3)) === 0);
    ACTS.remap!(m, x);
    m.t.mmu.failPmapEnter(null);
  },
  sync(m, x) {
    m.t.run(uvmMapClean(m.space(x.s).vm.map, va(x.at), va(x.at + len(x)), PGO_CLEANIT));
  },
};

/** Views of private memory that minherit shares between spaces. */
const sharers = new WeakSet<View>();

/** The child's page. */
function forkPage(p: ModelPage): ModelPage | null {
  if (p.inherit === INH_NONE) return null;
  if (p.inherit === INH_ZERO) return { ...newPage(true), prot: p.prot, inherit: INH_ZERO };
  if (p.inherit === INH_SHARE) {
    if (p.isPrivate) sharers.add(p.view);
    return { ...p, wired: false };
  }
  // A copy: of shared memory it stays a view of the object until it is stored to.
  if (!p.isPrivate) return { ...p, isPrivate: true, view: { cell: p.view.cell, owned: false }, wired: false, file: p.view.cell };
  return { ...p, view: { cell: p.view.owned ? { byte: p.view.cell.byte } : p.view.cell, owned: p.view.owned }, wired: false };
}

const step: fc.Arbitrary<Step> = fc.record({
  op: fc.oneof(
    { weight: 20, arbitrary: fc.constant("load") }, { weight: 25, arbitrary: fc.constant("store") },
    { weight: 5, arbitrary: fc.constant("storeFailing") },
    { weight: 14, arbitrary: fc.constantFrom("mapPrivate", "mapShared", "mapFile") },
    { weight: 14, arbitrary: fc.constantFrom("remap", "remap", "resize", "remapFailing") },
    { weight: 20, arbitrary: fc.constantFrom("unmap", "protect", "advise", "wire", "wireOnFault", "discard", "sync", "inherit") },
    { weight: 8, arbitrary: fc.constantFrom("fork", "exit", "forkFailing") },
  ),
  s: fc.nat(3), at: fc.nat(SLOTS - 1), n: fc.integer({ min: 1, max: 12 }), v: fc.integer({ min: 1, max: 255 }),
});

function runSteps(mode: BootOptions, steps: readonly Step[]): void {
  const m = new Model(mode);
  for (const x of steps) {
    ACTS[x.op]!(m, x);
    m.t.check();
  }
  for (const s of m.spaces) ACTS.load!(m, { op: "load", s: m.spaces.indexOf(s), at: 0, n: SLOTS, v: 0 });
  m.t.free(...m.spaces.map((s) => s.vm));
  m.t.check();
  assert.is(m.t.uvm.anons.count, 0, "anons left");
}

for (const mode of [...MODES, { ...MODES[0], slowOnly: true }]) {
  const test = suite(`uvm model (${modeName(mode)})`);
  test("random sequences agree with the model, and every invariant holds after each step (T-RM-1)", () => {
    fc.assert(fc.property(fc.array(step, { minLength: 20, maxLength: 100, size: "max" }), (steps) => runSteps(mode, steps)), { seed: 4242, numRuns: 15 });
  });
  test.run();
}
