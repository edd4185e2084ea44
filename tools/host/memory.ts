// What the emulator takes of the host's memory beside the guest's RAM.
//
//   resident set = guest RAM that was touched + everything else: tables and caches of the machine, wasm code, heap, Node itself
//                                               └────────────────────────── the overhead ──────────────────────────┘
//
// Linux tells which pages of the machine's memory are there (/proc/self/maps, /proc/self/pagemap); elsewhere the figures that
// need this are missing.
import { RAM_OFFSET } from "../../emu/hart/layout.ts";
import { closeSync, openSync, readFileSync, readSync } from "node:fs";

const PAGE_BYTES = 4096, PAGEMAP_BYTES = 8, CHUNK_PAGES = 1 << 12, MIB = 1 << 20;

export interface MemoryFigures {
  readonly rssBytes: number;
  /** Guest RAM that is resident; null where the host does not tell. */
  readonly guestRamBytes: number | null;
  /** The rest of the resident set; null where guest RAM is not known. */
  readonly overheadBytes: number | null;
  /** Of the rest, the machine's own tables before RAM in the same memory: TLBs, predecoded code, cells. */
  readonly tablesBytes: number | null;
  readonly jsHeapBytes: number;
  /** Executable memory of this process that is from no file: what V8 made of wasm and JavaScript. */
  readonly machineCodeBytes: number | null;
}

/** The machine's memory: one WebAssembly.Memory with RAM at an offset. */
export interface MachineMemory { readonly buffer: ArrayBufferLike; readonly ramOffset: number; readonly ramBytes: number }

/** Where the RAM of a machine lies. */
export function machineMemory(machine: { readonly hart: { readonly memory: WebAssembly.Memory }; readonly ram: { readonly size: number } }): MachineMemory {
  return { buffer: machine.hart.memory.buffer, ramOffset: RAM_OFFSET, ramBytes: machine.ram.size };
}

interface Mapping { readonly start: number; readonly end: number; readonly isExecutable: boolean }

/** Lines of /proc/self/maps that are from no file. */
function anonymousMappings(): Mapping[] {
  return readFileSync("/proc/self/maps", "latin1").split("\n").flatMap((line) => {
    const m = /^([0-9a-f]+)-([0-9a-f]+) (....) \S+ \S+ 0\s*$/.exec(line);
    return m === null ? [] : [{ start: parseInt(m[1]!, 16), end: parseInt(m[2]!, 16), isExecutable: m[3]![2] === "x" }];
  });
}

/** Which pages of this process are there. One small buffer serves all questions: what is measured shall not grow by it. */
class PageMap {
  private readonly fd = openSync("/proc/self/pagemap", "r");
  private readonly entries = new Uint32Array(CHUNK_PAGES * 2);

  /** Resident bytes of [start, end). */
  residentBytes(start: number, end: number): number {
    const { entries } = this, lastPage = end / PAGE_BYTES;
    let pages = 0;
    for (let page = start / PAGE_BYTES; page < lastPage; page += CHUNK_PAGES) {
      const got = readSync(this.fd, entries, 0, Math.min(CHUNK_PAGES, lastPage - page) * PAGEMAP_BYTES, page * PAGEMAP_BYTES);
      // The highest bit of an entry: present.
      for (let i = 1; i < got / 4; i += 2) pages += entries[i]! >>> 31;
    }
    return pages * PAGE_BYTES;
  }

  close(): void {
    closeSync(this.fd);
  }
}

/** Where the machine's memory lies: the mapping that is as long as it. => -1 not found, or not the only one */
function addressOf(memory: MachineMemory, mappings: readonly Mapping[]): number {
  const found = mappings.filter((m) => m.end - m.start === memory.buffer.byteLength);
  return found.length === 1 ? found[0]!.start : -1;
}

/** The figures of this moment. Costs some milliseconds for each GiB. */
export function memoryFigures(memory: MachineMemory): MemoryFigures {
  const usage = process.memoryUsage();
  let guestRamBytes: number | null = null, tablesBytes: number | null = null, machineCodeBytes: number | null = null;
  try {
    const mappings = anonymousMappings(), at = addressOf(memory, mappings), pagemap = new PageMap();
    try {
      machineCodeBytes = mappings.filter((m) => m.isExecutable).reduce((n, m) => n + pagemap.residentBytes(m.start, m.end), 0);
      if (at >= 0) {
        guestRamBytes = pagemap.residentBytes(at + memory.ramOffset, at + memory.ramOffset + memory.ramBytes);
        tablesBytes = pagemap.residentBytes(at, at + memory.ramOffset);
      }
    } finally {
      pagemap.close();
    }
  } catch {
    // No Linux, or no /proc: the figures stay null.
  }
  return { rssBytes: usage.rss, guestRamBytes, overheadBytes: guestRamBytes === null ? null : usage.rss - guestRamBytes, tablesBytes, jsHeapBytes: usage.heapUsed, machineCodeBytes };
}

interface WatchedRam { readonly pagemap: PageMap; readonly start: number; readonly end: number }

/** Follows the overhead over a run. A look asks for nothing but how much of RAM is there. */
export class OverheadPeak {
  /** The most so far; null before the first look, or where the host does not tell. */
  peakBytes: number | null = null;
  private ramBytes = 0;
  private readonly memory: MachineMemory;
  /** RAM does not move, so that it is found only once; null where the host does not tell. */
  private readonly ram: WatchedRam | null;

  constructor(memory: MachineMemory) {
    this.memory = memory;
    this.ram = findRam(memory);
  }

  /** Guest RAM only grows, so the resident set alone tells whether this may be a new peak; only then is RAM counted. */
  look(): void {
    const { ram } = this, rssBytes = process.memoryUsage.rss();
    if (ram === null || rssBytes - this.ramBytes <= (this.peakBytes ?? 0) + MIB) return;
    this.ramBytes = ram.pagemap.residentBytes(ram.start, ram.end);
    this.note(rssBytes - this.ramBytes);
  }

  /** All figures of this moment, which may be the peak. */
  count(): MemoryFigures {
    const f = memoryFigures(this.memory);
    if (f.overheadBytes !== null) this.note(f.overheadBytes);
    return f;
  }

  private note(overheadBytes: number): void {
    this.peakBytes = Math.max(this.peakBytes ?? 0, overheadBytes);
  }
}

function findRam(memory: MachineMemory): WatchedRam | null {
  try {
    const at = addressOf(memory, anonymousMappings()), start = at + memory.ramOffset;
    return at < 0 ? null : { pagemap: new PageMap(), start, end: start + memory.ramBytes };
  } catch {
    return null;
  }
}
