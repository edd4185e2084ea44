// Puts firmware and kernels into RAM as QEMU's virt board does, and says how the hart starts.
//
//   without firmware   an ELF at its physical addresses, started at its entry; a raw image at 0x8000_0000. In M-mode
//   with firmware      the firmware that way; the kernel at 0x8020_0000 if raw. Firmware of the fw_dynamic kind finds in a2
//                      where the kernel is; fw_jump knows 0x8020_0000
//
// a0 is the hart's number, a1 the device tree, a2 the information for fw_dynamic. It lies in the ROM, behind the instructions
// that set these registers on QEMU's board; here the hart starts as if it had run them:
//
//   1000  auipc t0, 0    addi a2, t0, 0x28    csrr a0, mhartid    ld a1, 32(t0)    ld t0, 24(t0)    jr t0
//   1018  first instruction u64 | 1020 device tree u64 | 1028 information for fw_dynamic
import type { AccessSize, Device } from "./dev/device.ts";
import type { Ram } from "./bus/ram.ts";
import type { RamFiller } from "./bus/ramfiller.ts";
import { type Bytes, type ByteSource, copyOf, sourceOf } from "./bytesource.ts";
import { ElfError, type ElfFile, isElf, parseElf, PT_LOAD } from "./elf.ts";

export const ROM_BASE = 0x1000;
const KERNEL_AFTER_FIRMWARE = 0x8020_0000;
const RESET_VECTOR = [0x00000297, 0x02828613, 0xf1402573, 0x0202b583, 0x0182b283, 0x00028067] as const;
const START_AT = 0x18, FDT_AT = 0x20, DYNAMIC_AT = 0x28, ROM_BYTES = DYNAMIC_AT + 48;
/** Enough of a file to tell what it is. */
const MAGIC_BYTES = 4;
const DYNAMIC_MAGIC = 0x4942534f, DYNAMIC_VERSION = 2, NEXT_MODE_S = 1;

/** What the hart needs to begin. */
export interface BootState {
  /** Physical address of the first instruction. */
  entry: number;
  /** For a2. */
  dynamicInfoPa: number;
  rom: BootRom;
  /** Physical address of HTIF's `tohost`, when the kernel has that symbol. */
  tohostPa: number | null;
  fromhostPa: number | null;
  /** Physical end of what was loaded. */
  endPa: number;
}

/** A file to load; the name is for messages. */
export interface BootImage {
  readonly name: string;
  readonly bytes: Bytes;
}

/** Bytes that can only be read. */
export class BootRom implements Device {
  readonly name = "rom";
  readonly sizeBytes = 0xf000;
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  read(offset: number, size: AccessSize): number {
    let value = 0;
    for (let i = Math.min(size, 4) - 1; i >= 0; i--) value = (value << 8) | (this.bytes[offset + i] ?? 0);
    return value >>> 0;
  }

  write(): void {}
}

/** Loads everything. => throws ElfError whose message names the file */
export function loadBoot(ram: Ram, filler: RamFiller, kernel: BootImage | null, bios: BootImage | null, fdtPa: number): BootState {
  const first = bios ?? kernel;
  if (first === null) throw new ElfError("nothing to boot: no kernel and no firmware");
  const loaded = load(ram, filler, first, ram.base);
  const second = bios !== null && kernel !== null ? load(ram, filler, kernel, KERNEL_AFTER_FIRMWARE) : null;
  if (second !== null && second.startPa < loaded.endPa) {
    throw new ElfError(`${kernel!.name} is loaded at 0x${second.startPa.toString(16)}, over the firmware, which ends at 0x${loaded.endPa.toString(16)}`);
  }
  const rom = new DataView(new ArrayBuffer(ROM_BYTES));
  RESET_VECTOR.forEach((word, i) => rom.setUint32(4 * i, word, true));
  rom.setUint32(START_AT, loaded.entry, true);
  rom.setUint32(FDT_AT, fdtPa, true);
  [DYNAMIC_MAGIC, DYNAMIC_VERSION, second?.entry ?? 0, NEXT_MODE_S, 0, 0].forEach((value, i) => rom.setUint32(DYNAMIC_AT + 8 * i, value, true));
  const system = second ?? loaded, physicalOf = (name: string): number | null => {
    const va = system.elf?.symbol(name) ?? null;
    return va === null ? null : physical(system.elf!, va);
  };
  return {
    entry: loaded.entry, dynamicInfoPa: ROM_BASE + DYNAMIC_AT, rom: new BootRom(new Uint8Array(rom.buffer)),
    tohostPa: physicalOf("tohost"), fromhostPa: physicalOf("fromhost"), endPa: Math.max(loaded.endPa, second?.endPa ?? 0),
  };
}

interface Loaded {
  startPa: number;
  endPa: number;
  entry: number;
  elf: ElfFile | null;
}

function load(ram: Ram, filler: RamFiller, { name, bytes }: BootImage, rawPa: number): Loaded {
  const source = sourceOf(bytes), { sizeBytes } = source, magic = copyOf(source, 0, MAGIC_BYTES);
  if (isElf(magic)) return loadElf(ram, filler, name, source);
  if (sizeBytes === 0) throw new ElfError(`${name} is empty`);
  if (magic[0] === 0x1f && magic[1] === 0x8b) throw new ElfError(`${name} is compressed; uncompress it with gunzip first`);
  if (magic[0] === 0x23 && magic[1] === 0x21) throw new ElfError(`${name} is not an ELF file but a script; give a RISC-V kernel`);
  if (!ram.has(rawPa, sizeBytes)) throw new ElfError(`${name} does not fit: ${sizeBytes} bytes at 0x${rawPa.toString(16)}; give more --mem`);
  filler.put(source, 0, rawPa, sizeBytes);
  return { startPa: rawPa, endPa: rawPa + sizeBytes, entry: rawPa, elf: null };
}

function loadElf(ram: Ram, filler: RamFiller, name: string, source: ByteSource): Loaded {
  let elf: ElfFile;
  try {
    elf = parseElf(source);
  } catch (e) {
    throw e instanceof ElfError ? new ElfError(`${name} ${e.message}`) : e;
  }
  let startPa = Infinity, endPa = 0;
  for (const s of elf.segments) {
    if (s.type !== PT_LOAD || s.memBytes === 0) continue;
    if (!ram.has(s.pa, s.memBytes)) {
      const bounds = `0x${ram.base.toString(16)} to 0x${(ram.base + ram.size).toString(16)}`;
      throw new ElfError(`${name} has a segment of ${s.memBytes} bytes at 0x${s.pa.toString(16)}, outside RAM (${bounds})`);
    }
    filler.put(source, s.offset, s.pa, s.fileBytes);
    filler.clear(s.pa + s.fileBytes, s.memBytes - s.fileBytes);
    startPa = Math.min(startPa, s.pa);
    endPa = Math.max(endPa, s.pa + s.memBytes);
  }
  if (endPa === 0) throw new ElfError(`${name} has nothing to load`);
  return { startPa, endPa, entry: physical(elf, elf.entry), elf };
}

/** Kernels are linked at high addresses and loaded at low ones: an address by the segment it lies in. */
function physical(elf: ElfFile, va: number): number {
  const s = elf.segments.find((seg) => seg.type === PT_LOAD && va >= seg.va && va < seg.va + seg.memBytes);
  return s === undefined ? va : s.pa + (va - s.va);
}
