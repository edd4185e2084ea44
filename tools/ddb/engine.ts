// ddb's command about the translator: what is translated, how much of the guest's time it covers, and what it takes.
import type { CodeCache } from "../../emu/hart/codecache.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { machineMemory, memoryFigures } from "../host/memory.ts";
import { columns, type Command, type Context, plural } from "./format.ts";

const HOTTEST = 12, MIB = 1 << 20;

const percent = (part: number, whole: number): string => (whole === 0 ? "-" : `${((100 * part) / whole).toFixed(1)} %`);
const kib = (bytes: number): string => `${(bytes / 1024).toFixed(0)} KiB`;
const mib = (bytes: number | null): string => (bytes === null ? "not known here" : `${(bytes / MIB).toFixed(1)} MiB`);

const decodedFigures = (code: CodeCache): string =>
  `${plural(code.decodes, "instruction")}, ${plural(code.evictions, "page")} given up for others, ${code.releases} that became data`;

function translatorLines(kernel: Kernel): string[] {
  const { engine, code, instret, mmu } = kernel.machine.hart;
  if (engine === null) return ["everything is interpreted", `decoded: ${decodedFigures(code)}`];
  const r = engine.report(), s = engine.counts(), perModule = s.modules === 0 ? 0 : s.regions / s.modules, entries = s.verified + s.refused;
  const mode = engine.checker !== null ? "check: every entry is compared with the interpreter" : `jit: interpreter, then translation after ${r.hotJumps} jumps to a place`;
  return [
    mode,
    `retired   ${plural(instret, "instruction")}, ${percent(s.translatedRetired, instret)} in translated code, the rest interpreted`,
    `now       ${plural(r.regions, "region")} of ${r.insns} instructions on ${plural(r.pages, "page")}; ${kib(r.wasmBytes)} of wasm, ` +
      `${r.insns === 0 ? "-" : (r.wasmBytes / r.insns).toFixed(1)} bytes an instruction; ${r.queued} queued`,
    `ever      ${plural(s.regions, "region")}, ${s.translatedInsns} instructions, ${plural(s.modules, "module")} of ${perModule.toFixed(1)} regions, ${kib(s.wasmBytes)} of wasm` +
      `${s.compileMs > 0 ? `, built in ${s.compileMs.toFixed(0)} ms, at most ${s.longestMs.toFixed(1)} at once` : ""}`,
    `dropped   ${plural(s.drops, "region")}, ${s.evictions} of them to make room; everything ${plural(s.flushes, "time")}`,
    `modules   ${r.modules} of ${r.modulesMax} (${percent(r.modules, r.modulesMax)}), ${r.pinned} only pinned by callers; wasm ${percent(r.wasmBytes, r.wasmMax)} of ${mib(r.wasmMax)}`,
    `cells     ${r.cells} of ${r.cellsMax} (${percent(r.cells, r.cellsMax)}), functions ${r.slots} of ${r.slotsMax} (${percent(r.slots, r.slotsMax)})`,
    `stamps    ${s.verified} of ${entries} checks after a change of mapping held (${percent(s.verified, entries)})`,
    `decoded   ${decodedFigures(code)}`,
    `TLB       refilled ${mmu.stats.fills} times for data, ${mmu.stats.fetchFills} for code`,
  ];
}

function profileLines({ kernel, profile }: Context): string[] {
  if (profile === null || profile.samples === 0) return ["no samples: the guest has not used up a slice of instructions yet"];
  const hot = profile.hottest(HOTTEST), { samples, translated } = profile;
  const share = kernel.machine.hart.engine === null ? "" : `, ${percent(translated, samples)} of them in translated code`;
  return [`${plural(samples, "sample")} of the pc, at the ends of slices${share}`,
    ...columns([["samples", "share", "function", "file"], ...hot.map((h) => [h.samples, percent(h.samples, samples), h.name, h.file])])];
}

function memoryLines(kernel: Kernel): string[] {
  const f = memoryFigures(machineMemory(kernel.machine));
  return [
    `memory    ${mib(f.rssBytes)} resident: guest RAM ${mib(f.guestRamBytes)}, all else ${mib(f.overheadBytes)}`,
    `          of that tables before RAM ${mib(f.tablesBytes)}, machine code ${mib(f.machineCodeBytes)}, JavaScript heap ${mib(f.jsHeapBytes)}`,
  ];
}

export const ENGINE_COMMANDS: readonly Command[] = [
  { name: "engine", args: "", help: "the translator: regions, cells, its share of the guest's time, the hottest functions, memory",
    run: (c) => [...translatorLines(c.kernel), ...memoryLines(c.kernel), ...profileLines(c)] },
];
