// What the emulator takes of the host's memory beside the guest's RAM.
//
//   resident set = guest RAM that was touched + everything else: tables and caches of the machine, wasm code, heap, Node itself
//                                               └────────────────────────── the overhead ──────────────────────────┘
//
// Linux tells which pages of the machine's memory are there (/proc/self/maps, /proc/self/pagemap); elsewhere the figures that
// need this are missing.
import { RAM_OFFSET } from "../../emu/hart/layout.ts";
import { closeSync, openSync, readFileSync, readSync } from "node:fs";

const PAGE_BYTES = 4096, PAGEMAP_BYTES = 8, PRESENT = 0x80, CHUNK_PAGES = 1 << 16, MIB = 1 << 20;

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

/** Lines of /proc/self/maps that are from no file. */
function anonymousMappings(): { start: number; end: number; isExecutable: boolean }[] {
  return readFileSync("/proc/self/maps", "latin1").split("\n").flatMap((line) => {
    const m = /^([0-9a-f]+)-([0-9a-f]+) (....) \S+ \S+ 0\s*$/.exec(line);
    return m === null ? [] : [{ start: parseInt(m[1]!, 16), end: parseInt(m[2]!, 16), isExecutable: m[3]![2] === "x" }];
  });
}

/** Resident bytes of [start, end) of this process. */
function residentBytes(pagemap: number, start: number, end: number): number {
  const chunk = new Uint8Array(CHUNK_PAGES * PAGEMAP_BYTES);
  let pages = 0;
  for (let at = start / PAGE_BYTES; at < end / PAGE_BYTES; at += CHUNK_PAGES) {
    const want = Math.min(CHUNK_PAGES, end / PAGE_BYTES - at) * PAGEMAP_BYTES, got = readSync(pagemap, chunk, 0, want, at * PAGEMAP_BYTES);
    for (let i = PAGEMAP_BYTES - 1; i < got; i += PAGEMAP_BYTES) if ((chunk[i]! & PRESENT) !== 0) pages++;
  }
  return pages * PAGE_BYTES;
}

/** Where the machine's memory lies: the mapping that is as long as it. => -1 not found, or not the only one */
function addressOf(memory: MachineMemory, mappings: ReturnType<typeof anonymousMappings>): number {
  const found = mappings.filter((m) => m.end - m.start === memory.buffer.byteLength);
  return found.length === 1 ? found[0]!.start : -1;
}

/** The figures of this moment. Costs some milliseconds for each GiB. */
export function memoryFigures(memory: MachineMemory): MemoryFigures {
  const usage = process.memoryUsage();
  let guestRamBytes: number | null = null, tablesBytes: number | null = null, machineCodeBytes: number | null = null;
  try {
    const mappings = anonymousMappings(), at = addressOf(memory, mappings), pagemap = openSync("/proc/self/pagemap", "r");
    try {
      machineCodeBytes = mappings.filter((m) => m.isExecutable).reduce((n, m) => n + residentBytes(pagemap, m.start, m.end), 0);
      if (at >= 0) {
        guestRamBytes = residentBytes(pagemap, at + memory.ramOffset, at + memory.ramOffset + memory.ramBytes);
        tablesBytes = residentBytes(pagemap, at, at + memory.ramOffset);
      }
    } finally {
      closeSync(pagemap);
    }
  } catch {
    // No Linux, or no /proc: the figures stay null.
  }
  return { rssBytes: usage.rss, guestRamBytes, overheadBytes: guestRamBytes === null ? null : usage.rss - guestRamBytes, tablesBytes, jsHeapBytes: usage.heapUsed, machineCodeBytes };
}

/** Follows the overhead over a run. */
export class OverheadPeak {
  /** The most so far; null before the first look, or where the host does not tell. */
  peakBytes: number | null = null;
  private ramBytes = 0;
  private readonly memory: MachineMemory;

  constructor(memory: MachineMemory) {
    this.memory = memory;
  }

  /** Guest RAM only grows, so the resident set alone tells whether this may be a new peak; only then is RAM counted. */
  look(): void {
    if (process.memoryUsage.rss() - this.ramBytes <= (this.peakBytes ?? 0) + MIB) return;
    this.count();
  }

  /** The figures of this moment, which may be the peak. */
  count(): MemoryFigures {
    const f = memoryFigures(this.memory);
    this.ramBytes = f.guestRamBytes ?? Infinity;
    if (f.overheadBytes !== null) this.peakBytes = Math.max(this.peakBytes ?? 0, f.overheadBytes);
    return f;
  }
}
