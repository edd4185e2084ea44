// A hosted machine with pages of user code and two of data, where everything is hot at the second jump: whoever runs it is
// its supervisor.
import { MCOUNTEREN, SCOUNTEREN } from "../../emu/hart/csrnum.ts";
import type { Tuning } from "../../emu/jit/tuning.ts";
import { Machine, STOP_TRAP } from "../../emu/machine.ts";
import { assemble } from "./assembler.ts";

export const CODE_VA = 0x10000, DATA_VA = 0x20000, DATA_FRAME = 0x20, PTE_CODE = 0xdf, PTE_DATA = 0xd7;
const ROOT = 0x100, CODE_PAGES = 16, FCSR = 3;
const pte = (frame: number, bits: number) => ((frame + 0x80000) << 10) | bits;

/** User code in the frames from 1, data in two pages from frame DATA_FRAME. */
export class World {
  readonly m: Machine;

  constructor(source: string, engine: "interp" | "jit", where = CODE_VA, tuning: Partial<Tuning> = {}) {
    this.m = new Machine({ ramBytes: 2 << 20, console: { read: () => 0, write() {} }, hosted: true, engine, tuning: { hot: 2, ...tuning } });
    const { hart, ram } = this.m;
    ram.i32[ROOT * 1024] = pte(ROOT + 1, 1);
    ram.i32[(ROOT + 1) * 1024] = pte(ROOT + 2, 1);
    for (let i = 0; i < CODE_PAGES; i++) this.map(CODE_VA + i * 4096, 1 + i, PTE_CODE);
    for (let i = 0; i < 2; i++) this.map(DATA_VA + i * 4096, DATA_FRAME + i, PTE_DATA);
    ram.u8.set(assemble(source, where).bytes, 4096 + where - CODE_VA);
    for (let i = 0; i < CODE_PAGES; i++) hart.codeWritten(0x80001 + i);
    for (const csr of [MCOUNTEREN, SCOUNTEREN]) hart.writeCsr(csr, 7n);
    hart.setSatp(0x80000 + ROOT, 1);
    hart.pc = where;
  }

  map(va: number, frame: number, bits: number): void {
    this.m.ram.i32[(ROOT + 2) * 1024 + (va / 4096) * 2] = frame < 0 ? 0 : pte(frame, bits);
    this.m.hart.fenceVa(va, -1);
  }

  state(stop: number): string {
    const { hart } = this.m;
    return JSON.stringify({ stop, pc: hart.pc, cause: stop === STOP_TRAP ? hart.cause : 0, retired: hart.instret, fcsr: String(hart.readCsr(FCSR)), x: [...hart.x], f: [...hart.f] });
  }
}
