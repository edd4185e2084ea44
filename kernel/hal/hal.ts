// What the kernel has of its machine: memory, the page tables, devices by MMIO, interrupts by the PLIC.
import { FINISHER_BASE, type Machine, PLIC_BASE } from "../../emu/machine.ts";
import { KASSERT, panic } from "../lib/kassert.ts";
import type { KContext } from "../lib/kthread.ts";
import { PhysMem } from "./physmem.ts";
import type { PmapModule } from "./pmap.ts";

const CSR_SIE = 0x104, CSR_SATP = 0x180, SEIE = 1n << 9n;
/** The PLIC's S-mode context of hart 0. */
const PLIC_ENABLE = PLIC_BASE + 0x2080, PLIC_THRESHOLD = PLIC_BASE + 0x201000, PLIC_CLAIM = PLIC_BASE + 0x201004;
const SATP_SV39 = 8n << 60n, ASID_SHIFT = 44n, ASID_MASK = 0xffffn;
const FINISH_PASS = 0x5555, FINISH_FAIL = 0x3333;

export class Hal {
  readonly machine: Machine;
  readonly ctx: KContext;
  readonly mem: PhysMem;
  /** Set by uvmInit. */
  pmap!: PmapModule;
  /** Injection for tests: the next pmapEnter that may fail does, while this says so. */
  failPmapEnter: () => boolean = () => false;
  /** External interrupts served. */
  interrupts = 0;
  private readonly handlers: ((() => void) | undefined)[] = [];

  constructor(machine: Machine, ctx: KContext) {
    this.machine = machine;
    this.ctx = ctx;
    this.mem = new PhysMem(machine);
    this.mmioWrite32(PLIC_THRESHOLD, 0);
    machine.hart.writeCsr(CSR_SIE, SEIE);
  }

  /** Virtual time in ns. */
  now(): number {
    return this.machine.clock.now;
  }

  /** Width of ASIDs: ones are written to satp, and read back. => at boot, before anything runs */
  asidBits(): number {
    const { hart } = this.machine;
    hart.writeCsr(CSR_SATP, SATP_SV39 | (ASID_MASK << ASID_SHIFT));
    const mask = Number((hart.readCsr(CSR_SATP) >> ASID_SHIFT) & ASID_MASK);
    hart.writeCsr(CSR_SATP, 0n);
    return 32 - Math.clz32(mask);
  }

  // ---- devices ----

  mmioRead32(pa: number): number {
    const v = this.machine.bus.read(pa, 4);
    if (this.machine.bus.fault) panic(`no device at 0x${pa.toString(16)}`);
    return v;
  }

  mmioWrite32(pa: number, v: number): void {
    this.machine.bus.write(pa, 4, v);
    if (this.machine.bus.fault) panic(`no device at 0x${pa.toString(16)}`);
  }

  mmioRead8(pa: number): number {
    return this.machine.bus.read(pa, 1);
  }

  mmioWrite8(pa: number, v: number): void {
    this.machine.bus.write(pa, 1, v);
  }

  // ---- interrupts ----

  /** Enables an external interrupt. The handler runs between instructions of whoever runs: it may not sleep. */
  establish(irq: number, handler: () => void): void {
    KASSERT(this.handlers[irq] === undefined, `interrupt ${irq} has a handler already`);
    this.handlers[irq] = handler;
    this.mmioWrite32(PLIC_BASE + 4 * irq, 1);
    const at = PLIC_ENABLE + 4 * (irq >>> 5);
    this.mmioWrite32(at, this.mmioRead32(at) | (1 << (irq & 31)));
  }

  /** Claims and serves what is pending. */
  serviceInterrupts(): void {
    for (let irq = this.mmioRead32(PLIC_CLAIM); irq !== 0; irq = this.mmioRead32(PLIC_CLAIM)) {
      this.interrupts++;
      const handler = this.handlers[irq] ?? panic(`interrupt ${irq} without a handler`);
      handler();
      this.mmioWrite32(PLIC_CLAIM, irq);
    }
  }

  /** Lets virtual time pass until an interrupt is served: for boot, where nobody sleeps. => false: nothing will come */
  waitInterrupt(): boolean {
    const { clock } = this.machine, before = this.interrupts, next = clock.nextAlarm();
    this.serviceInterrupts();
    if (this.interrupts !== before) return true;
    if (next === Infinity) return false;
    clock.skipTo(next);
    clock.fire();
    this.serviceInterrupts();
    return true;
  }

  /** Switches the machine off with an exit code. */
  halt(code: number): void {
    this.mmioWrite32(FINISHER_BASE, code === 0 ? FINISH_PASS : FINISH_FAIL | ((code & 0xffff) << 16));
  }
}
