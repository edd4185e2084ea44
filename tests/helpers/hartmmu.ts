// Loads and stores for tests, done by a hart in user mode: two instructions in frame 0, which nobody manages, mapped at the last page
// of the lower half, which no address space uses.
import { Machine, MENVCFG } from "../../emu/machine.ts";
import { Hal } from "../../kernel/hal/hal.ts";
import { PTE_D, PTE_W } from "../../kernel/hal/pmap.ts";
import { PMAP_CANFAIL, PROT_EXEC, PROT_READ } from "../../kernel/hal/prot.ts";
import type { KContext } from "../../kernel/lib/kthread.ts";
import { RAM_BASE, uvmInit } from "../../kernel/uvm/uvm.ts";
import type { Vmspace } from "../../kernel/uvm/vmspace.ts";
import type { BootOptions, Mmu } from "./bootvm.ts";

const CODE_VA = 2 ** 38 - 0x1000, A0 = 10, A1 = 11, STOP_BUDGET = 0;
/** lbu a0, 0(a1) and, 8 bytes on, sb a0, 0(a1) */
const LBU = 0x0005c503, SB = 0x00a58023, SB_AT = 8, ADUE = 1n << 61n;

/** A machine whose kernel is only the virtual memory. */
export function hartMmu(ctx: KContext, opts: BootOptions): Mmu {
  const silent = { read: () => 0, write() {} };
  const machine = new Machine({
    ramBytes: (opts.npages ?? 1024) * 4096, seed: opts.seed ?? 1, ad: opts.ad ?? "svade", tlb: opts.tlb ?? "normal", console: silent, hosted: true,
  });
  // Firmware would have switched the hart's setting of A and D on: without, svadu is svade.
  if (opts.ad === "svadu") machine.hart.writeCsr(MENVCFG, ADUE);
  const hal = new Hal(machine, ctx), uvm = uvmInit(hal, ctx), { hart } = machine;
  hal.mem.i32[0] = LBU;
  hal.mem.i32[SB_AT / 4] = SB;
  hart.codeWritten(RAM_BASE / 4096);

  const once = (vm: Vmspace, at: number, va: number, byte: number): boolean => {
    const pm = vm.map.pmap;
    if (uvm.pmap.pmapExtract(pm, CODE_VA) === -1) uvm.pmap.pmapEnter(pm, CODE_VA, RAM_BASE, PROT_READ | PROT_EXEC, PMAP_CANFAIL | PROT_EXEC);
    uvm.pmap.pmapUpdate(pm);
    uvm.pmap.pmapActivate(pm);
    hart.pc = CODE_VA + at;
    hart.x[2 * A0] = byte;
    hart.x[2 * A1] = va | 0;
    hart.x[2 * A1 + 1] = Math.floor(va / 2 ** 32);
    return hart.run(1) === STOP_BUDGET;
  };
  /** INV-41: no TLB entry of a live address space says more than the tables. */
  const staleTlb = (): string[] => {
    const bad: string[] = [], maps = new Map([...uvm.vmspaces].map((vm) => [vm.map.pmap.asid, vm.map.pmap]));
    for (const entry of machine.tlbEntries()) {
      const pm = maps.get(entry.asid), va = entry.va - (entry.va % 4096);
      if (!pm || entry.global || !uvm.pmap.asids.isLive(pm)) continue;
      const w = uvm.pmap.pmapWalk(pm, va), isWritable = w !== null && (w.pteLo & PTE_W) !== 0 && (w.pteLo & PTE_D) !== 0;
      if (!w || uvm.pmap.pmapExtract(pm, va) !== entry.pa - (entry.pa % 4096)) bad.push(`INV-41: the TLB maps ${va.toString(16)} to ${entry.pa.toString(16)}`);
      else if (entry.write && !isWritable) bad.push(`INV-41: the TLB lets ${va.toString(16)} be written`);
    }
    return bad;
  };
  return {
    uvm, staleTlb,
    failPmapEnter: (when) => void (hal.failPmapEnter = when ?? (() => false)),
    load: (vm, va) => (once(vm, 0, va, 0) ? hart.x[2 * A0]! : -1),
    store: (vm, va, byte) => (once(vm, SB_AT, va, byte) ? 0 : -1),
    frame: (pg) => hal.mem.bytes(RAM_BASE + pg * 4096, 4096),
  };
}
