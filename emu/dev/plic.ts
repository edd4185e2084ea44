// The platform-level interrupt controller: wires from devices to the external-interrupt pins of hart contexts.
//
//   0x000000 + 4*source             priority 0..7; 0 never interrupts
//   0x001000 + 4*word               pending, a bit a source, read only
//   0x002000 + 0x80*context + 4*w   enable bits
//   0x200000 + 0x1000*context + 0   threshold: only priorities above it interrupt
//   0x200000 + 0x1000*context + 4   read: claim; write: complete
//
// Context 0 is M-mode of hart 0 and context 1 its S-mode. The gateways are those of QEMU's board: a source becomes pending
// each time its device drives the wire high, though it was high already, and no longer when the wire drops. Completion does not
// look at the wire. So a driver that leaves its device's request standing (teaching kernels never read the serial port's IIR,
// and early ones acknowledge no virtio interrupt) is interrupted again by what happens next, not without end.
import type { AccessSize, Device, IrqLine } from "./device.ts";

/** Sources as QEMU's virt board has them; source 0 does not exist. */
export const PLIC_SOURCES = 96;
const WORDS = PLIC_SOURCES / 32;
const PRIORITY_MAX = 7;
const PENDING = 0x1000, ENABLE = 0x2000, ENABLE_STRIDE = 0x80, CONTEXT = 0x200000, CONTEXT_STRIDE = 0x1000;

export class Plic implements Device {
  readonly name = "plic";
  readonly sizeBytes = 0x600000;
  readonly widths = 4;
  private readonly pins: readonly IrqLine[];
  /** Indexed by source. */
  private readonly priority = new Uint8Array(PLIC_SOURCES);
  /** Bit masks by source / 32: pending latch, claimed and not completed. */
  private readonly pending = new Uint32Array(WORDS);
  private readonly claimed = new Uint32Array(WORDS);
  /** [context * WORDS + word] */
  private readonly enable: Uint32Array;
  /** Indexed by context. */
  private readonly threshold: Uint8Array;

  /** `pins[c]` is the external-interrupt pin of context c. */
  constructor(pins: readonly IrqLine[]) {
    this.pins = pins;
    this.enable = new Uint32Array(pins.length * WORDS);
    this.threshold = new Uint8Array(pins.length);
  }

  /** The wire of one source, for its device. */
  line(source: number): IrqLine {
    return (level) => this.setLevel(source, level);
  }

  setLevel(source: number, level: boolean): void {
    const word = source >>> 5, bit = 1 << (source & 31);
    if (level) this.pending[word]! |= bit;
    else this.pending[word]! &= ~bit;
    this.update();
  }

  read(offset: number, _size: AccessSize): number {
    if (offset < PENDING) return this.priority[offset >>> 2] ?? 0;
    if (offset < ENABLE) return this.pending[(offset - PENDING) >>> 2] ?? 0;
    if (offset < CONTEXT) {
      const at = this.enableIndex(offset);
      return at < 0 ? 0 : this.enable[at]!;
    }
    const context = Math.floor((offset - CONTEXT) / CONTEXT_STRIDE), register = offset & (CONTEXT_STRIDE - 1);
    if (context >= this.pins.length) return 0;
    if (register === 0) return this.threshold[context]!;
    return register === 4 ? this.claim(context) : 0;
  }

  write(offset: number, _size: AccessSize, value: number): void {
    if (offset < PENDING) {
      const source = offset >>> 2;
      if (source > 0 && source < PLIC_SOURCES) this.priority[source] = value & PRIORITY_MAX;
    } else if (offset >= ENABLE && offset < CONTEXT) {
      const at = this.enableIndex(offset);
      if (at >= 0) this.enable[at] = at % WORDS === 0 ? value & ~1 : value;
    } else if (offset >= CONTEXT) {
      const context = Math.floor((offset - CONTEXT) / CONTEXT_STRIDE), register = offset & (CONTEXT_STRIDE - 1);
      if (context >= this.pins.length) return;
      if (register === 0) this.threshold[context] = value & PRIORITY_MAX;
      else if (register === 4) this.complete(context, value);
      else return;
    }
    this.update();
  }

  reset(): void {
    for (const state of [this.priority, this.pending, this.claimed, this.enable, this.threshold]) state.fill(0);
    this.update();
  }

  private enableIndex(offset: number): number {
    const context = Math.floor((offset - ENABLE) / ENABLE_STRIDE), word = (offset & (ENABLE_STRIDE - 1)) >>> 2;
    return context < this.pins.length && word < WORDS ? context * WORDS + word : -1;
  }

  /** => the pending enabled source, not claimed, of highest priority above `floor`, lowest number first among equals; 0 for none */
  private best(context: number, floor: number): number {
    let best = 0, bestPriority = floor;
    for (let word = 0; word < WORDS; word++) {
      let bits = this.pending[word]! & ~this.claimed[word]! & this.enable[context * WORDS + word]!;
      while (bits !== 0) {
        const low = bits & -bits, source = word * 32 + 31 - Math.clz32(low);
        bits ^= low;
        if (this.priority[source]! > bestPriority) {
          best = source;
          bestPriority = this.priority[source]!;
        }
      }
    }
    return best;
  }

  /** A claim takes the best source whatever the threshold, as the PLIC specification has it. */
  private claim(context: number): number {
    const source = this.best(context, 0);
    if (source === 0) return 0;
    const word = source >>> 5, bit = 1 << (source & 31);
    this.pending[word]! &= ~bit;
    this.claimed[word]! |= bit;
    this.update();
    return source;
  }

  /** Ignored for a source that this context has not enabled. */
  private complete(context: number, source: number): void {
    if (!(source > 0 && source < PLIC_SOURCES)) return;
    const word = source >>> 5, bit = 1 << (source & 31);
    if ((this.enable[context * WORDS + word]! & bit) === 0) return;
    this.claimed[word]! &= ~bit;
  }

  private update(): void {
    for (let context = 0; context < this.pins.length; context++) {
      this.pins[context]!(this.best(context, this.threshold[context]!) !== 0);
    }
  }
}
