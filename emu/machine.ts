// The machine: a hart, RAM and the devices of QEMU's virt board. The public face of emu/.
//
//   0x0000_1000  rom (reset vector)               0x1000_0000  uart           irq 10
//   0x0010_0000  test finisher                    0x1000_1000  virtio slot 0  irq 1
//   0x0010_1000  rtc                    irq 11    ...          virtio slot 7  irq 8
//   0x0200_0000  clint                            0x8000_0000  RAM; the device tree in its last pages, the initrd below
//   0x0c00_0000  plic
//
// Virtio slots: disks first, then the random source, then the console ports; or as the configuration says.
import { type BootImage, type BootState, loadBoot, ROM_BASE } from "./boot.ts";
import { Bus } from "./bus/bus.ts";
import { RamDma } from "./bus/dma.ts";
import { Ram } from "./bus/ram.ts";
import { RamFiller } from "./bus/ramfiller.ts";
import { type Bytes, sourceOf } from "./bytesource.ts";
import { Clint } from "./dev/clint.ts";
import type { BlockBackend, ByteStream, Device } from "./dev/device.ts";
import { Finisher, type PowerSwitch } from "./dev/finisher.ts";
import { Htif } from "./dev/htif.ts";
import { Plic } from "./dev/plic.ts";
import { Prng } from "./dev/prng.ts";
import { GoldfishRtc } from "./dev/rtc.ts";
import { Uart16550 } from "./dev/uart16550.ts";
import { VirtioBlk } from "./dev/virtio/blk.ts";
import { VirtioConsole } from "./dev/virtio/console.ts";
import { type VirtioFunction, VirtioMmio } from "./dev/virtio/mmio.ts";
import { VirtioRng } from "./dev/virtio/rng.ts";
import { boardFdt } from "./fdt.ts";
import { IRQ_MEI, IRQ_MSI, IRQ_MTI, IRQ_SEI } from "./hart/csrnum.ts";
import { type EngineMode, FullHart, type TlbMode } from "./hart/fullhart.ts";
import { newMemory, STOP_WFI } from "./hart/hart.ts";
import { RAM_OFFSET } from "./hart/layout.ts";
import type { AdMode } from "./hart/privileged.ts";
import type { Tuning } from "./jit/tuning.ts";
import { pageWalk, type WalkReport } from "./mmu/inspect.ts";
import type { TlbEntry } from "./mmu/tlb.ts";
import { VirtualClock } from "./time/clock.ts";
import { Timebase } from "./time/timebase.ts";

export { FullHart as Hart } from "./hart/fullhart.ts";
export { STOP_BUDGET, STOP_HALT, STOP_INTERRUPT, STOP_TRAP, STOP_WFI } from "./hart/hart.ts";
export * from "./hart/csrnum.ts";
export { Ram } from "./bus/ram.ts";
export { Bus } from "./bus/bus.ts";
export { Alarm, VirtualClock } from "./time/clock.ts";
export type { BlockBackend, ByteStream, Device, Dma, IrqLine } from "./dev/device.ts";
export type { WalkReport, WalkStep } from "./mmu/inspect.ts";
export type { TlbEntry } from "./mmu/tlb.ts";
export type { EngineMode, TlbMode } from "./hart/fullhart.ts";
export type { AdMode } from "./hart/privileged.ts";
export type { BootImage } from "./boot.ts";
export type { Bytes, ByteSource } from "./bytesource.ts";

export const VIRTIO_SLOTS = 8, VIRTIO_BASE = 0x1000_1000, VIRTIO_STRIDE = 0x1000, VIRTIO_IRQ = 1;
export const FINISHER_BASE = 0x10_0000, RTC_BASE = 0x10_1000, CLINT_BASE = 0x200_0000, PLIC_BASE = 0xc00_0000, UART_BASE = 0x1000_0000;
export const UART_IRQ = 10, RTC_IRQ = 11;
const SLICE_MAX = 1 << 29;
/** A board that cannot be put together; the message says what to change. */
export class BoardError extends Error {}

/** Set when bundled, so that all tests can run with another engine. */
declare const LOANWORD_ENGINE: EngineMode | "stress" | undefined;
const WANTED = typeof LOANWORD_ENGINE === "string" ? LOANWORD_ENGINE : "jit", DEFAULT_ENGINE: EngineMode = WANTED === "stress" ? "jit" : WANTED;
const DEFAULT_TUNING: Partial<Tuning> = WANTED === "stress" ? { hot: 2, steps: 1, modules: 40, drop: 5 } : WANTED === "check" ? { hot: 2 } : {};
/** Firmware adds nodes to the device tree where it lies. */
const FDT_GROWTH_BYTES = 8192;
const T0 = 5, A0 = 10, A1 = 11, A2 = 12;

export interface MachineConfig {
  /** A multiple of 4096. */
  ramBytes: number;
  seed?: number;
  /** Who sets A and D. Default: hosted svade, bare hw. */
  ad?: AdMode;
  tlb?: TlbMode;
  virtio?: "modern" | "legacy";
  drives?: BlockBackend[];
  /**
   * Virtio slots of the disks in turn, then of the random source, all different; then the device tree lists slots from the last,
   * as QEMU's does. What has none is in the first free one.
   */
  slots?: readonly number[];
  console: ByteStream;
  /** Virtio-console ports: 0 standard input and output, 1 standard error. */
  ports?: ByteStream[];
  bootargs?: string;
  /** Read into RAM at power-on and at each reset. */
  initrd?: Bytes;
  asidBits?: number;
  /** Default: jit. */
  engine?: EngineMode;
  /** For tests and measurements of the translator. */
  tuning?: Partial<Tuning>;
  /** A supervisor in TypeScript gets the traps; else they vector. */
  hosted?: boolean;
  /** Bare: what to load and start. Without any, the hart starts at the bottom of RAM. */
  kernel?: BootImage;
  bios?: BootImage;
  /** Time of day at power-on. */
  epochSeconds?: number;
}

export class Machine implements PowerSwitch {
  readonly config: MachineConfig;
  readonly hart: FullHart;
  readonly ram: Ram;
  readonly bus: Bus;
  readonly clock: VirtualClock;
  readonly timebase: Timebase;
  readonly dma: RamDma;
  readonly plic: Plic;
  readonly clint: Clint;
  readonly uart: Uart16550;
  /** By slot; empty slots answer with device 0. */
  readonly virtio: VirtioMmio[] = [];
  readonly tlbMode: TlbMode;
  readonly ad: AdMode;
  /** The device tree; a copy lies in RAM at fdtPa. */
  readonly fdt: Uint8Array;
  readonly fdtPa: number;
  readonly initrd: { pa: number; len: number } | null;
  /** Set when the guest switched the machine off. */
  halted: { code: number } | null = null;
  /** What was loaded, bare. */
  boot: BootState | null = null;
  private resetWanted = false;

  constructor(config: MachineConfig) {
    const { ramBytes } = config;
    if (!(ramBytes > 0 && ramBytes % 4096 === 0)) throw new BoardError(`${ramBytes} bytes of RAM are not a number of 4 KiB pages`);
    this.config = config;
    this.tlbMode = config.tlb ?? "normal";
    this.ad = config.ad ?? (config.hosted ? "svade" : "hw");
    this.hart = new FullHart(newMemory(ramBytes), ramBytes);
    const { hart } = this;
    this.ram = new Ram(hart.memory.buffer, RAM_OFFSET, ramBytes);
    this.bus = new Bus(this.ram);
    this.clock = new VirtualClock(hart);
    this.timebase = new Timebase(this.clock);
    this.dma = new RamDma(this.ram, hart);
    hart.assemble(this.bus, this.timebase, {
      hosted: config.hosted ?? false, ad: this.ad, tlb: this.tlbMode, asidBits: config.asidBits ?? 16, engine: config.engine ?? DEFAULT_ENGINE,
      tuning: config.tuning ?? DEFAULT_TUNING,
    });
    this.clock.onEarlier = () => hart.control.endSlice();
    this.bus.onRamStore = (pa, lenBytes) => this.dma.wrote(pa, lenBytes);
    const line = (irq: number) => (level: boolean) => hart.setInterruptLine(irq, level);
    this.clint = new Clint(this.timebase, line(IRQ_MSI), line(IRQ_MTI));
    this.plic = new Plic([line(IRQ_MEI), line(IRQ_SEI)]);
    this.uart = new Uart16550(config.console, this.plic.line(UART_IRQ), this.clock);
    this.attachDevices();
    const top = this.ram.base + ramBytes, initrdLen = config.initrd === undefined ? 0 : sourceOf(config.initrd).sizeBytes;
    const prng = new Prng((config.seed ?? 1) ^ 0x5eed), rngSeed = new Uint8Array(32);
    prng.fill(rngSeed);
    const tree = (initrd: { pa: number; len: number } | null) =>
      boardFdt({ ramBytes, bootargs: config.bootargs ?? "", initrd, rngSeed, ad: this.ad, virtioSlots: VIRTIO_SLOTS, virtioFromLast: config.slots !== undefined });
    // The tree's length does not depend on where the initrd lies.
    this.fdtPa = pageDown(top - tree({ pa: top, len: 0 }).length - FDT_GROWTH_BYTES);
    this.initrd = initrdLen === 0 ? null : { pa: pageDown(this.fdtPa - initrdLen), len: initrdLen };
    if (this.fdtPa < this.ram.base || (this.initrd !== null && this.initrd.pa < this.ram.base)) throw new BoardError("the initrd does not fit into RAM");
    this.fdt = tree(this.initrd);
    this.load(new RamFiller(this.ram, true));
  }

  // ---- running ----

  /**
   * Runs bare guest code for at most `maxInsns` instructions, or nanoseconds of waiting.
   *
   * => "idle": the hart waits and only outside input can wake it
   */
  run(maxInsns: number): "budget" | "halted" | "idle" {
    const { clock, hart } = this, end = clock.now + maxInsns * clock.nsPerInsn;
    for (;;) {
      if (this.resetWanted) this.reset();
      if (this.halted !== null) return "halted";
      clock.fire();
      const left = clock.insnsUntil(end);
      if (left <= 0) return "budget";
      const stop = hart.run(Math.min(left, clock.insnsUntil(clock.nextAlarm()), SLICE_MAX));
      if (stop !== STOP_WFI) continue;
      if (clock.nextAlarm() === Infinity) return "idle";
      clock.skipTo(Math.min(end, clock.nextAlarm()));
    }
  }

  /** For devices: ends the machine after the instruction under way. */
  halt(code: number): void {
    if (this.halted === null) this.halted = { code };
    this.hart.control.stopMachine();
  }

  /** For devices: starts again after the instruction under way. */
  requestReset(): void {
    this.resetWanted = true;
    this.hart.control.stopMachine();
  }

  /** Back to power-on: devices reset, images loaded again. Disks and the clock keep what they have. */
  reset(): void {
    this.resetWanted = false;
    this.halted = null;
    for (const { device } of this.bus.devices()) device.reset?.();
    this.load(new RamFiller(this.ram, false));
  }

  // ---- questions ----

  tlbEntries(): TlbEntry[] {
    return this.hart.mmu.tlb.entries((records) => this.hart.frameOfRecords(records));
  }

  /** How the current satp translates an address, level by level. */
  walk(va: number): WalkReport {
    const { walker } = this.hart.mmu;
    return pageWalk(this.ram, walker.levels, walker.rootPpn, va);
  }

  /** The same by the Sv39 tables below a root frame. */
  walkFrom(rootPfn: number, va: number): WalkReport {
    return pageWalk(this.ram, 3, rootPfn, va);
  }

  // ---- inside ----

  private attachDevices(): void {
    const { bus, clock, plic, dma, config } = this;
    bus.attach(FINISHER_BASE, new Finisher(this));
    bus.attach(RTC_BASE, new GoldfishRtc(clock, plic.line(RTC_IRQ), config.epochSeconds));
    bus.attach(CLINT_BASE, this.clint);
    bus.attach(PLIC_BASE, plic);
    bus.attach(UART_BASE, this.uart);
    const functions: VirtioFunction[] = (config.drives ?? []).map((drive, i) => new VirtioBlk(drive, `disk${i}`));
    functions.push(new VirtioRng(config.seed ?? 1));
    if (config.ports !== undefined && config.ports.length > 0) functions.push(new VirtioConsole(config.ports));
    if (functions.length > VIRTIO_SLOTS) throw new BoardError(`${functions.length} virtio devices, but ${VIRTIO_SLOTS} slots`);
    const bySlot = new Array<VirtioFunction | null>(VIRTIO_SLOTS).fill(null);
    for (const [i, f] of functions.entries()) {
      const at = config.slots?.[i] ?? bySlot.indexOf(null);
      if (bySlot[at] !== null) throw new BoardError(`virtio slot ${at} is taken or not there; there are ${VIRTIO_SLOTS}, counted from 0`);
      bySlot[at] = f;
    }
    for (let i = 0; i < VIRTIO_SLOTS; i++) {
      const version = config.virtio === "legacy" ? 1 : 2;
      const slot = new VirtioMmio(bySlot[i]!, { version, dma, irq: plic.line(VIRTIO_IRQ + i), clock });
      this.virtio.push(slot);
      bus.attach(VIRTIO_BASE + i * VIRTIO_STRIDE, slot);
    }
  }

  /** Puts device tree, initrd and images into RAM, and the hart at its first instruction. */
  private load(filler: RamFiller): void {
    const { ram, hart, config, initrd } = this;
    let entry = ram.base, a2 = 0;
    if (config.kernel !== undefined || config.bios !== undefined) {
      const boot = loadBoot(ram, filler, config.kernel ?? null, config.bios ?? null, this.fdtPa);
      if (boot.endPa > (initrd?.pa ?? this.fdtPa)) throw new BoardError("kernel, initrd and device tree do not fit into RAM together; give more --mem");
      if (this.boot === null) this.bus.attach(ROM_BASE, boot.rom as Device);
      this.boot = boot;
      entry = boot.entry;
      a2 = boot.dynamicInfoPa;
      if (boot.tohostPa !== null) {
        const htif = new Htif(ram, boot.tohostPa, boot.fromhostPa, this, config.console);
        hart.watch(boot.tohostPa, () => htif.look());
      }
    }
    ram.u8.set(this.fdt, this.fdtPa - ram.base);
    if (initrd !== null) filler.put(sourceOf(config.initrd!), 0, initrd.pa, initrd.len);
    hart.code.allWritten();
    hart.x.fill(0);
    hart.f.fill(0);
    hart.setReg(A0, hart.id);
    hart.setReg(A1, this.fdtPa);
    hart.setReg(A2, a2);
    hart.setReg(T0, entry);
    hart.control.reset(entry | 0, Math.floor(entry / 4294967296) | 0);
  }
}

const pageDown = (pa: number): number => Math.floor(pa / 4096) * 4096;
