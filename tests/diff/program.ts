// One program of a differential test: an image of RAM from BASE, made of a seed alone.
import { decode, newDecoded, rows } from "../../emu/isa/table.ts";
import { asm } from "../helpers/asm.ts";
import { Code } from "./code.ts";
import { HOT_BYTES, HotWriter } from "./hot.ts";
import { BASE, CODE, CODE_LIMIT, frame, LOG, ODD_COUNT, ODD_PAGES, type Phase, POOL, WINDOWS } from "./layout.ts";
import { Random } from "./random.ts";
import { buildTables, oddTable, satpOf } from "./tables.ts";
import { randomUnit } from "./units.ts";

export interface Program {
  readonly seed: number;
  readonly image: Uint8Array;
  readonly phases: readonly Phase[];
  /** Random instructions, each counted once however often it runs. */
  readonly insns: number;
  /** It does what QEMU does not do precisely: atomic operations on pages that do not allow them, accesses to missing memory by page tables. */
  readonly loose: boolean;
  /** S-mode uses SUM. After such a load QEMU lets S-mode fetch from the user's page too, so there are none with code. */
  readonly sum: boolean;
}

/** A unit writes at most this much. */
const UNIT_BYTES = 256;
const RETURN = 0x8082;

/**
 * A program of about `insns` instructions: M-mode first, then U and S under page tables.
 *
 * => hot: it is made of loops (hot.ts), so that each instruction becomes hot; ticks: it gets timer interrupts, reads counters, and
 *    has what QEMU has not, so that two runs of this machine can be compared, but not one of QEMU
 */
export function makeProgram(seed: number, insns: number, hot = false, ticks = false): Program {
  const r = new Random(seed), image = new Uint8Array(LOG - BASE), view = new DataView(image.buffer), loose = seed % 4 === 0, sum = (seed & 3) < 2;
  for (let at = WINDOWS; at < POOL; at += 8) view.setBigUint64(at - BASE, r.integer(), true);
  for (let i = 0; i < 512; i++) view.setBigUint64(POOL - BASE + 8 * i, r.percent(35) ? r.integer() : r.floatRegister(), true);
  for (let page = 0; page < ODD_COUNT; page++) {
    for (let at = 0; at < 4096; at += 2) view.setUint16(ODD_PAGES - BASE + page * 4096 + at, at < 2048 ? r.below(65536) : RETURN, true);
  }
  const odd = (privilege: 0 | 1) => ({ missing: loose, userCode: privilege === 0 || !sum });
  buildTables(view, r, odd);
  const code = new Code(image.subarray(CODE - BASE, CODE_LIMIT - BASE), CODE), phases: Phase[] = [];
  for (const [privilege, share] of [[3, 0.6], [0, 0.8], [1, 1]] as const) {
    const entry = code.pc;
    const place = { r, code, privilege, loose, sum, ticks, odd: odd(1), oddTable: oddTable(privilege === 1 ? 1 : 0) }, writer = new HotWriter(place);
    while (code.count < insns * share && code.free > (hot ? HOT_BYTES : UNIT_BYTES)) {
      if (hot) writer.loop();
      else randomUnit(place);
      if (r.percent(8)) code.op("ecall");
    }
    phases.push({ privilege, entry, end: code.pc, satp: privilege === 3 ? 0n : satpOf(privilege) });
    code.raw(asm("ecall"));
  }
  image.set(frame(phases, ticks).bytes, 0);
  return { seed, image, phases, insns: code.count, loose, sum };
}

/** Names of the instructions in a program's random code. */
export function rowsOf(p: Program): ReadonlySet<string> {
  const view = new DataView(p.image.buffer), d = newDecoded(), names = new Set<string>(), end = p.phases.at(-1)!.end;
  for (let va = CODE; va <= end; va += d.lenBytes) {
    decode(view.getInt32(va - BASE, true), d);
    if (d.row >= 0) names.add(rows[d.row]!.name);
  }
  return names;
}
