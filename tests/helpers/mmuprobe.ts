// A bare machine on which a test makes page tables by hand and lets the hart try single accesses.
//
//   0x8000_0000  ld, sd, mret, the trap handler (a loop)       0x8010_0000  page tables, one frame after another
//   0x8020_0000  frames for data; each holds nops
import { Machine, type AdMode, type EngineMode, type MachineConfig, type TlbMode, MEPC, MCAUSE, MSTATUS, MTVEC, PMPADDR0, PMPCFG0, SATP } from "../../emu/machine.ts";
import { MSTATUS_MPRV, MSTATUS_MXR, MSTATUS_SUM } from "../../emu/hart/csrnum.ts";
import { assemble } from "./assembler.ts";

export const V = 1, R = 2, W = 4, X = 8, U = 16, G = 32, A = 64, D = 128;
export const PRIV_U = 0, PRIV_S = 1;
export const FETCH_PAGE = 12, LOAD_PAGE = 13, STORE_PAGE = 15, FETCH_ACCESS = 1, LOAD_ACCESS = 5, STORE_ACCESS = 7;
const RAM = 0x8000_0000, TABLES = 0x8010_0000, NOP = 0x13, A0 = 10, A1 = 11;
/** What an access came to: 0 for done, else the cause of its trap. */
export type Outcome = number;

const CODE = `
load:   ld a0, 0(a1)
store:  sd a0, 0(a1)
enter:  mret
handler: j handler
`;

export class MmuProbe {
  readonly machine: Machine;
  readonly root: number;
  private readonly symbols: ReadonlyMap<string, number>;
  private nextTable = TABLES / 4096;
  sum = false;
  mxr = false;

  constructor(options: { ad?: AdMode; tlb?: TlbMode; asidBits?: number; engine?: EngineMode; tuning?: NonNullable<MachineConfig["tuning"]> } = {}) {
    this.machine = new Machine({ ramBytes: 4 << 20, console: { read: () => 0, write() {} }, ...options });
    const { bytes, symbols } = assemble(CODE), { hart, ram } = this.machine;
    this.symbols = symbols;
    ram.u8.set(bytes);
    for (let pa = 0x8020_0000; pa < RAM + ram.size - 0x10000; pa += 4) ram.i32[(pa - RAM) / 4] = NOP;
    hart.writeCsr(MTVEC, BigInt(symbols.get("handler")!));
    hart.writeCsr(PMPADDR0, (1n << 54n) - 1n);
    hart.writeCsr(PMPCFG0, 0x1fn);
    this.root = this.nextTable++;
    this.setSatp(0);
  }

  setSatp(asid: number, root = this.root, mode = 8): void {
    this.machine.hart.writeCsr(SATP, (BigInt(mode) << 60n) | (BigInt(asid) << 44n) | BigInt(root));
  }

  newTable(): number {
    return this.nextTable++;
  }

  /** Makes va lead to pa at a level (0: 4 KiB). => physical address of the leaf */
  map(va: number, pa: number, flags: number, level = 0, root = this.root, levels = 3): number {
    let table = root;
    for (let l = levels - 1; l > level; l--) {
      const at = this.ptePa(table, va, l), pte = this.pte(at);
      if ((pte & V) === 0) this.setPte(at, this.nextTable++ * 4096, V);
      table = this.frame(at);
    }
    const at = this.ptePa(table, va, level);
    this.setPte(at, pa, flags);
    return at;
  }

  ptePa(table: number, va: number, level: number): number {
    return table * 4096 + (Math.floor(va / (4096 * 512 ** level)) & 511) * 8;
  }

  pte(at: number): number {
    return this.machine.ram.i32[(at - RAM) / 4]!;
  }

  private frame(at: number): number {
    return this.machine.ram.u32[(at - RAM) / 4]! >>> 10;
  }

  setPte(at: number, pa: number, flags: number, high = 0): void {
    this.machine.ram.i32[(at - RAM) / 4] = ((pa / 4096) << 10) | flags;
    this.machine.ram.i32[(at - RAM) / 4 + 1] = high;
  }

  load(va: number, priv = PRIV_S): Outcome {
    return this.data("load", va, priv);
  }

  store(va: number, priv = PRIV_S): Outcome {
    return this.data("store", va, priv);
  }

  /** Enters a privilege at an address, and executes one instruction there. */
  fetch(va: number, priv = PRIV_S): Outcome {
    const { hart } = this.machine;
    hart.writeCsr(MSTATUS, this.status(priv));
    hart.writeCsr(MEPC, BigInt.asUintN(64, BigInt(va)));
    hart.pc = this.symbols.get("enter")!;
    hart.run(2);
    const done = hart.pc === va + 4 && hart.priv === priv;
    const outcome = done ? 0 : Number(hart.readCsr(MCAUSE));
    // Back to M-mode, for the next access.
    hart.writeCsr(MSTATUS, 0n);
    hart.control.become(3);
    return outcome;
  }

  private data(what: "load" | "store", va: number, priv: number): Outcome {
    const { hart } = this.machine, at = this.symbols.get(what)!;
    hart.writeCsr(MSTATUS, this.status(priv) | BigInt(MSTATUS_MPRV));
    hart.setReg(A0, 0x0013_0000_0013);
    hart.setReg(A1, va);
    hart.pc = at;
    hart.run(1);
    const outcome = hart.pc === at + 4 ? 0 : Number(hart.readCsr(MCAUSE));
    hart.writeCsr(MSTATUS, 0n);
    return outcome;
  }

  /** What the last load brought. */
  get loaded(): number {
    return this.machine.hart.reg(A0);
  }

  private status(priv: number): bigint {
    return BigInt((priv << 11) | (this.sum ? MSTATUS_SUM : 0) | (this.mxr ? MSTATUS_MXR : 0));
  }
}
