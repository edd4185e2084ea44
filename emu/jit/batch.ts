// A batch: hot places on their way to one WebAssembly module, in steps that the guest can wait for.
//
//   places ─discover─► regions ─link, emit some instructions a step─► bodies ─► bytes ─compile─► instance ─install─► entry cells
//
// The guest runs between the steps. Whoever sees that bytes of a region's pages change calls `touch`, and the batch is void;
// while its pages are not the ones that are mapped, because another process runs, the next step waits.
import type { LiveModule } from "./modules.ts";
import type { Region } from "./region.ts";
import { CORE_PARAMS, CORE_RESULTS } from "./core.ts";
import { callTargets, CORE_FUNCTIONS, type HostBlock, type Link, translateRegion } from "./translate.ts";
import { ModuleBuilder } from "./wasm.ts";

/** Exports of the core that regions import. */
export type CoreExports = Record<(typeof CORE_FUNCTIONS)[number], WebAssembly.ExportValue>;

export interface Entry { readonly f: WebAssembly.ExportValue; readonly cellAt: number; readonly entry: number; readonly module: LiveModule }

/** What a batch asks of the engine. */
export interface BatchHost {
  readonly memory: WebAssembly.Memory;
  readonly core: CoreExports;
  readonly host: Pick<HostBlock, "hart" | "fusedMadd" | "tuning">;
  /** Next hot place's region. => null: that place needs none, or another look; undefined: no place is left */
  nextRegion(batch: Batch): Region | null | undefined;
  /** The function that is entered at just this address, and the cell that says whether it may be. => null: there is none */
  entryAt(va: number): Entry | null;
  /** A function of the module is imported from here on. => it is let go when the batch is given up, or its own module is gone */
  hold(module: LiveModule): void;
  /** The number of a cell that nobody has. */
  takeCell(): number;
  /** A page slot for a loop; others may have it too. */
  takePageSlot(): number;
  /** Byte offset of a cell in the memory. */
  cellAt(cell: number): number;
  /** The decoded record of an instruction, or -1. */
  decoded(va: number): number;
}

/** A region that has its function. */
export interface Built { readonly region: Region; readonly firstCell: number; readonly needs: Int32Array; readonly f: () => number; readonly wasmBytes: number }

/** Instructions of a batch, if there are so many small regions. */
const BATCH_INSNS = 100;

/** What a profiler shows of a region's function. */
const nameOf = (r: Region, i: number): string => `guest_${(r.entryVa < 0 ? r.entryVa + 2 ** 64 : r.entryVa).toString(16)}_${i}`;

export class Batch {
  readonly regions: Region[] = [];
  /** Cells of the regions' first entries: nobody else has seen them before the regions are installed. */
  readonly cells: number[] = [];
  /** Modules whose functions it imports: held. */
  readonly held = new Set<LiveModule>();
  /** Does the next step. => done: what was built; nothing when no place needed a region */
  readonly steps: Generator<void, readonly Built[]>;
  isVoid = false;
  /** Times that its pages were not mapped when it was its turn. */
  waits = 0;
  private readonly engine: BatchHost;

  constructor(engine: BatchHost) {
    this.engine = engine;
    this.steps = this.translation();
  }

  /** Bytes [from, to) of a RAM page change. */
  touch(ramPage: number, from: number, to: number): void {
    if (this.regions.some((r) => r.pages.some((p) => p.ramPage === ramPage && p.lo < to && p.hi > from))) this.isVoid = true;
  }

  private *translation(): Generator<void, readonly Built[]> {
    const { regions, cells, engine } = this;
    for (let insns = 0; insns < BATCH_INSNS;) {
      const region = engine.nextRegion(this);
      if (region === undefined) break;
      if (region !== null) {
        regions.push(region);
        insns += region.insnCount;
      }
      yield;
    }
    if (regions.length === 0) return [];
    const m = new ModuleBuilder(engine.memory.buffer.byteLength / 65536);
    for (const name of CORE_FUNCTIONS) m.importFunction(name, CORE_PARAMS, CORE_RESULTS);
    for (const _ of regions) cells.push(engine.takeCell());
    const { links, imports } = this.link(m), needs: Int32Array[] = [], own = m.nextFunction;
    yield;
    for (const [i, r] of regions.entries()) {
      const link = (va: number): Link | null => (va === r.entryVa ? { fn: own + i, cellAt: -1, entry: 0 } : links.get(va) ?? null);
      const body = yield* translateRegion(r, { ...engine.host, link, record: (va) => engine.decoded(va), takePageSlot: () => engine.takePageSlot() });
      m.addFunction(CORE_PARAMS, CORE_RESULTS, body.emitter, nameOf(r, i));
      needs.push(body.needs);
      yield;
    }
    const bytes = m.bytes();
    yield;
    const module = new WebAssembly.Module(bytes as BufferSource);
    yield;
    const { exports } = new WebAssembly.Instance(module, { env: { memory: engine.memory, ...engine.core, ...imports } });
    const wasmBytes = Math.round(bytes.length / regions.length);
    return regions.map((region, i) => ({ region, firstCell: cells[i]!, needs: needs[i]!, f: exports[nameOf(region, i)] as () => number, wasmBytes }));
  }

  /** Callees that are translated already, or are now, are called without a look at the cell's slot: imports the former. */
  private link(m: ModuleBuilder): { links: ReadonlyMap<number, Link>; imports: WebAssembly.ModuleImports } {
    const { regions, cells, engine } = this, links = new Map<number, Link>(), imports: WebAssembly.ModuleImports = {};
    for (const va of new Set(regions.flatMap(callTargets))) {
      const found = engine.entryAt(va), name = `to_${va.toString(16)}`;
      if (found === null) continue;
      imports[name] = found.f;
      if (!this.held.has(found.module)) {
        this.held.add(found.module);
        engine.hold(found.module);
      }
      links.set(va, { fn: m.importFunction(name, CORE_PARAMS, CORE_RESULTS), cellAt: found.cellAt, entry: found.entry });
    }
    regions.forEach((r, i) => { if (!links.has(r.entryVa)) links.set(r.entryVa, { fn: m.nextFunction + i, cellAt: engine.cellAt(cells[i]!), entry: 0 }); });
    return { links, imports };
  }
}
