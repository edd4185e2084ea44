// The serial port: an NS16550A, exact enough for firmware and kernels that probe it.
//
//   offset  read (DLAB 0)   write (DLAB 0)   DLAB 1
//   0       RBR  receiver   THR transmitter  DLL divisor low
//   1       IER             IER              DLM divisor high
//   2       IIR             FCR              FCR
//   3 LCR   4 MCR   5 LSR   6 MSR   7 SCR
//
// The transmitter is infinitely fast: a byte written is out, and the holding register is empty again. The receiver takes
// bytes from its stream only while its FIFO has room, so nothing is lost; overruns happen only in loopback mode. Clearing
// the FIFO drops only looped bytes: the others are received again, as if they had been sent a moment later. Drivers clear
// it while they start, and a script piped to the machine is there from the first instruction.
// The interrupt of the empty transmitter is a latch (`thrEmptied`), set by a write to THR and by enabling it, cleared when
// IIR has reported it. The receiver's time-out, four characters of silence below the trigger level, runs on the clock.
import type { AccessSize, ByteStream, Device, IrqLine } from "./device.ts";
import type { Alarm, VirtualClock } from "../time/clock.ts";

/** The clock that the divisor divides, for the device tree. */
export const UART_CLOCK_HZ = 3_686_400;

const RBR = 0, IER = 1, IIR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7;
const IER_RDA = 1, IER_THRE = 2, IER_RLS = 4, IER_MSR = 8;
const IIR_MSR = 0x0, IIR_NONE = 0x1, IIR_THRE = 0x2, IIR_RDA = 0x4, IIR_RLS = 0x6, IIR_TIMEOUT = 0xc, IIR_FIFO = 0xc0;
const FCR_ENABLE = 1, FCR_CLEAR_RX = 2;
const LCR_DLAB = 0x80;
const MCR_LOOP = 0x10;
const LSR_DR = 0x01, LSR_OE = 0x02, LSR_ERRORS = 0x1e, LSR_THRE = 0x20, LSR_TEMT = 0x40;
const MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40, MSR_DCD = 0x80, MSR_DELTAS = 0x0f;
const FIFO_BYTES = 16;
const TRIGGER = [1, 4, 8, 14] as const;
/** Marks a byte in the FIFO that loopback put there. */
const LOOPED = 0x100;

export class Uart16550 implements Device {
  readonly name = "uart";
  readonly sizeBytes = 0x100;
  private readonly stream: ByteStream;
  private readonly irq: IrqLine;
  private readonly clock: VirtualClock;
  private readonly silence: Alarm;
  /** Received and not yet read: a ring of `fifoCount` bytes from `fifoHead`. */
  private readonly fifo = new Uint16Array(FIFO_BYTES);
  private fifoHead = 0;
  private fifoCount = 0;
  /** Taken from the stream and cleared out of the FIFO: received again before the stream is asked for more. */
  private cleared: number[] = [];
  private readonly out = new Uint8Array(1);
  private readonly in = new Uint8Array(FIFO_BYTES);
  private ier = 0;
  private fcr = 0;
  private lcr = 0;
  private mcr = 0x08;
  private scr = 0;
  private divisor = 12;
  /** Error bits of LSR, cleared by reading it. */
  private lineErrors = 0;
  /** Delta bits of MSR, cleared by reading it. */
  private modemDeltas = 0;
  private thrEmptied = false;
  private timedOut = false;

  constructor(stream: ByteStream, irq: IrqLine, clock: VirtualClock) {
    this.stream = stream;
    this.irq = irq;
    this.clock = clock;
    this.silence = clock.alarm(() => {
      this.timedOut = this.fifoCount > 0;
      this.update();
    });
    stream.onReadable = () => this.receive();
  }

  read(offset: number, _size: AccessSize): number {
    if ((this.lcr & LCR_DLAB) !== 0 && offset < 2) return offset === 0 ? this.divisor & 0xff : this.divisor >> 8;
    switch (offset) {
      case RBR: return this.readByte();
      case IER: return this.ier;
      case IIR: return this.readIir();
      case LCR: return this.lcr;
      case MCR: return this.mcr;
      case LSR: return this.readLsr();
      case MSR: return this.readMsr();
      case SCR: return this.scr;
      default: return 0;
    }
  }

  write(offset: number, _size: AccessSize, value: number): void {
    const byte = value & 0xff;
    if ((this.lcr & LCR_DLAB) !== 0 && offset < 2) {
      this.divisor = offset === 0 ? (this.divisor & 0xff00) | byte : (this.divisor & 0xff) | (byte << 8);
      return;
    }
    switch (offset) {
      case RBR: this.transmit(byte); break;
      case IER: this.writeIer(byte & 0x0f); break;
      case IIR: this.writeFcr(byte); break;
      case LCR: this.lcr = byte; break;
      case MCR: this.writeMcr(byte & 0x1f); break;
      case SCR: this.scr = byte; break;
    }
  }

  reset(): void {
    this.ier = this.fcr = this.lcr = this.scr = 0;
    this.mcr = 0x08;
    this.divisor = 12;
    this.lineErrors = this.modemDeltas = 0;
    this.thrEmptied = false;
    this.clearFifo();
    this.update();
  }

  private get fifoOn(): boolean {
    return (this.fcr & FCR_ENABLE) !== 0;
  }

  private get looped(): boolean {
    return (this.mcr & MCR_LOOP) !== 0;
  }

  /** Takes what the stream has, as far as there is room. */
  private receive(): void {
    const room = (this.fifoOn ? FIFO_BYTES : 1) - this.fifoCount;
    if (this.looped || room <= 0) return;
    const again = this.cleared.splice(0, room);
    for (const byte of again) this.enqueue(byte);
    const got = again.length < room ? this.stream.read(this.in.subarray(0, room - again.length)) : 0;
    for (let i = 0; i < got; i++) this.enqueue(this.in[i]!);
    if (again.length > 0 || got > 0) this.update();
  }

  private enqueue(byte: number): void {
    const capacity = this.fifoOn ? FIFO_BYTES : 1;
    if (this.fifoCount >= capacity) {
      this.lineErrors |= LSR_OE;
      // Without a FIFO the new byte replaces the old; with one, the shift register is what is overwritten.
      if (!this.fifoOn) this.fifo[this.fifoHead] = byte;
      return;
    }
    this.fifo[(this.fifoHead + this.fifoCount) % FIFO_BYTES] = byte;
    this.fifoCount++;
    this.restartSilence();
  }

  /** Four characters of ten bits at the programmed rate; 115200 baud when no divisor is set. */
  private restartSilence(): void {
    this.timedOut = false;
    if (!this.fifoOn || this.fifoCount === 0) return this.silence.cancel();
    const bitNs = (1e9 * 16 * (this.divisor || 2)) / UART_CLOCK_HZ;
    this.silence.set(this.clock.now + Math.round(40 * bitNs));
  }

  private readByte(): number {
    if (this.fifoCount === 0) return 0;
    const byte = this.fifo[this.fifoHead]! & 0xff;
    this.fifoHead = (this.fifoHead + 1) % FIFO_BYTES;
    this.fifoCount--;
    this.restartSilence();
    this.receive();
    this.update();
    return byte;
  }

  private transmit(byte: number): void {
    if (this.looped) this.enqueue(byte | LOOPED);
    else {
      this.out[0] = byte;
      this.stream.write(this.out);
    }
    this.thrEmptied = true;
    this.update();
  }

  private writeIer(value: number): void {
    // The holding register is always empty, so enabling its interrupt raises it.
    if ((value & IER_THRE) !== 0 && (this.ier & IER_THRE) === 0) this.thrEmptied = true;
    this.ier = value;
    this.update();
  }

  private writeFcr(value: number): void {
    const toggled = ((value ^ this.fcr) & FCR_ENABLE) !== 0;
    // The other bits are taken only together with the enable bit.
    this.fcr = (value & FCR_ENABLE) !== 0 ? value & 0xc9 : 0;
    if (toggled || (value & (FCR_ENABLE | FCR_CLEAR_RX)) === (FCR_ENABLE | FCR_CLEAR_RX)) this.clearFifo();
    this.receive();
    this.update();
  }

  private clearFifo(): void {
    const bytes = Array.from({ length: this.fifoCount }, (_, i) => this.fifo[(this.fifoHead + i) % FIFO_BYTES]!);
    this.cleared = [...bytes.filter((byte) => (byte & LOOPED) === 0), ...this.cleared];
    this.fifoHead = this.fifoCount = 0;
    this.timedOut = false;
    this.silence.cancel();
  }

  private writeMcr(value: number): void {
    const before = this.modemLines();
    this.mcr = value;
    const after = this.modemLines(), changed = before ^ after;
    // RI's delta is of its trailing edge only.
    if ((changed & MSR_CTS) !== 0) this.modemDeltas |= 1;
    if ((changed & MSR_DSR) !== 0) this.modemDeltas |= 2;
    if ((changed & before & MSR_RI) !== 0) this.modemDeltas |= 4;
    if ((changed & MSR_DCD) !== 0) this.modemDeltas |= 8;
    this.receive();
    this.update();
  }

  /** The modem's wires: those of a terminal that is on, or our own outputs in loopback. */
  private modemLines(): number {
    if (!this.looped) return MSR_CTS | MSR_DSR | MSR_DCD;
    const { mcr } = this;
    return ((mcr & 1) << 5) | ((mcr & 2) << 3) | ((mcr & 4) << 4) | ((mcr & 8) << 4);
  }

  private readLsr(): number {
    if (this.fifoCount === 0) this.receive();
    const value = LSR_THRE | LSR_TEMT | this.lineErrors | (this.fifoCount > 0 ? LSR_DR : 0);
    // Only what this changes drives the wire anew: a handler that polls this register alone must come to an end.
    if (this.lineErrors !== 0) {
      this.lineErrors &= ~LSR_ERRORS;
      this.update();
    }
    return value;
  }

  private readMsr(): number {
    const value = this.modemLines() | (this.modemDeltas & MSR_DELTAS);
    if (this.modemDeltas !== 0) {
      this.modemDeltas = 0;
      this.update();
    }
    return value;
  }

  /** The pending interrupt of highest priority, as IIR shows it. */
  private pending(): number {
    if ((this.ier & IER_RLS) !== 0 && this.lineErrors !== 0) return IIR_RLS;
    if ((this.ier & IER_RDA) !== 0) {
      const trigger = this.fifoOn ? TRIGGER[(this.fcr >> 6) & 3]! : 1;
      if (this.fifoCount >= trigger) return IIR_RDA;
      if (this.timedOut) return IIR_TIMEOUT;
    }
    if ((this.ier & IER_THRE) !== 0 && this.thrEmptied) return IIR_THRE;
    if ((this.ier & IER_MSR) !== 0 && this.modemDeltas !== 0) return IIR_MSR;
    return IIR_NONE;
  }

  private readIir(): number {
    const cause = this.pending();
    if (cause === IIR_THRE) {
      this.thrEmptied = false;
      this.update();
    }
    return cause | (this.fifoOn ? IIR_FIFO : 0);
  }

  private update(): void {
    this.irq(this.pending() !== IIR_NONE);
  }
}
