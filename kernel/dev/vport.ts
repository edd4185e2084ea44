// Driver of the virtio console's ports: byte streams to and from the host, apart from the terminal. Port 0 is standard input and
// output of a program that is run for the host, port 1 its standard error.
//
//   queue 0, 1 receive and transmit of port 0 | 2, 3 control | 4, 5 port 1 | …
//   control    port u32 | event u16 | value u16
import type { Hal } from "../hal/hal.ts";
import { PAGE_SIZE, RAM_BASE } from "../hal/physmem.ts";
import { panic } from "../lib/kassert.ts";
import { PRIV_KMEM } from "../uvm/page.ts";
import type { Uvm } from "../uvm/uvm.ts";
import type { VirtioDevice } from "./virtiommio.ts";
import type { Virtqueue } from "./virtqueue.ts";

const F_MULTIPORT = 2, MAX_PORTS_AT = 4, CONTROL_RX = 2, CONTROL_TX = 3, CONTROL_BYTES = 8, DEVICE_READY = 0, DEVICE_ADD = 1, PORT_READY = 3, PORT_OPEN = 6;
const RX_BUFFERS = 4, TX_BUFFERS = 16, CONTROL_BUFFERS = 16, ALL_PORTS = 0xffffffff;

/** One buffer: a frame, or a piece of one. */
interface Buffer { readonly pa: number; readonly bytes: Uint8Array; readonly view: DataView }

export class VPort {
  readonly id: number;
  readonly rxQueue: number;
  readonly txQueue: number;
  rx!: Virtqueue;
  tx!: Virtqueue;
  /** Input that nobody has read: the first from `inputAt` on. */
  readonly input: Uint8Array[] = [];
  inputAt = 0;
  /** The host's end is closed: after the input there is no more. */
  isEnded = false;
  readonly freeTx: Buffer[] = [];
  /** Buffers full of input, to be given to the device when it is read. */
  readonly heldRx: Buffer[] = [];
  /** Told when input or room arrived. */
  onChange: () => void = () => {};

  constructor(id: number) {
    this.id = id;
    this.rxQueue = id === 0 ? 0 : 2 * id + 2;
    this.txQueue = this.rxQueue + 1;
  }

  get inputBytes(): number {
    return this.input.reduce((n, b) => n + b.length, 0) - this.inputAt;
  }
}

export class VPorts {
  readonly ports: VPort[] = [];
  private readonly hal: Hal;
  private readonly uvm: Uvm;
  private readonly device: VirtioDevice;
  private readonly controlRx: Virtqueue;
  private readonly controlTx: Virtqueue;

  constructor(hal: Hal, uvm: Uvm, device: VirtioDevice) {
    this.hal = hal;
    this.uvm = uvm;
    this.device = device;
    if ((device.negotiate(F_MULTIPORT) & F_MULTIPORT) === 0) panic("virtio-console without ports");
    const count = device.config32(MAX_PORTS_AT);
    for (let id = 0; id < count; id++) this.ports.push(new VPort(id));
    const queue = (index: number): Virtqueue => device.queue(uvm, index) ?? panic(`virtio-console: no queue ${index}`);
    for (const p of this.ports) {
      p.rx = queue(p.rxQueue);
      p.tx = queue(p.txQueue);
    }
    this.controlRx = queue(CONTROL_RX);
    this.controlTx = queue(CONTROL_TX);
    device.start(() => this.interrupt());
    this.postAll();
    this.control(ALL_PORTS, DEVICE_READY, 1);
  }

  private frame(): Buffer {
    const pg = this.uvm.pages.allocPrivate(PRIV_KMEM, 0);
    if (pg === 0) panic("virtio-console: no memory");
    return this.piece(RAM_BASE + pg * PAGE_SIZE, PAGE_SIZE);
  }

  private piece(pa: number, len: number): Buffer {
    const bytes = this.hal.mem.bytes(pa, len);
    return { pa, bytes, view: new DataView(bytes.buffer, bytes.byteOffset, len) };
  }

  private postAll(): void {
    const messages = this.frame();
    for (let i = 0; i < CONTROL_BUFFERS; i++) this.postControl(this.piece(messages.pa + i * CONTROL_BYTES, CONTROL_BYTES));
    this.device.notify(CONTROL_RX);
    for (const p of this.ports) {
      for (let i = 0; i < RX_BUFFERS; i++) p.heldRx.push(this.frame());
      for (let i = 0; i < TX_BUFFERS; i++) p.freeTx.push(this.frame());
      this.repost(p);
    }
  }

  private postControl(b: Buffer): void {
    this.controlRx.add([{ pa: b.pa, len: CONTROL_BYTES, deviceWrites: true }], b);
  }

  private control(port: number, event: number, value: number): void {
    const frame = this.frame(), b = this.piece(frame.pa, CONTROL_BYTES);
    b.view.setUint32(0, port, true);
    b.view.setUint16(4, event, true);
    b.view.setUint16(6, value, true);
    this.controlTx.add([{ pa: b.pa, len: CONTROL_BYTES, deviceWrites: false }], b);
    this.device.notify(CONTROL_TX);
  }

  private interrupt(): void {
    for (let done = this.controlTx.take(); done; done = this.controlTx.take()) this.uvm.pages.freePrivate(((done.owner as Buffer).pa - RAM_BASE) / PAGE_SIZE);
    for (let done = this.controlRx.take(); done; done = this.controlRx.take()) {
      const b = done.owner as Buffer;
      this.told(b.view.getUint32(0, true), b.view.getUint16(4, true), b.view.getUint16(6, true));
      this.postControl(b);
      this.device.notify(CONTROL_RX);
    }
    for (const p of this.ports) this.serve(p);
  }

  private told(id: number, event: number, value: number): void {
    const p = this.ports[id];
    if (!p) return;
    if (event === DEVICE_ADD) {
      this.control(id, PORT_READY, 1);
      this.control(id, PORT_OPEN, 1);
    } else if (event === PORT_OPEN && value === 0) {
      p.isEnded = true;
      p.onChange();
    }
  }

  private serve(p: VPort): void {
    let changed = false;
    for (let done = p.rx.take(); done; done = p.rx.take()) {
      const b = done.owner as Buffer;
      if (done.len > 0) p.input.push(b.bytes.slice(0, done.len));
      p.heldRx.push(b);
      changed = true;
    }
    for (let done = p.tx.take(); done; done = p.tx.take()) {
      p.freeTx.push(done.owner as Buffer);
      changed = true;
    }
    this.repost(p);
    if (changed) p.onChange();
  }

  /** Gives receive buffers to the device, unless there is much that nobody reads. */
  private repost(p: VPort): void {
    if (p.heldRx.length === 0 || p.input.length > RX_BUFFERS) return;
    for (let b = p.heldRx.pop(); b; b = p.heldRx.pop()) p.rx.add([{ pa: b.pa, len: PAGE_SIZE, deviceWrites: true }], b);
    this.device.notify(p.rxQueue);
  }

  /** Drops n bytes of input that were read. */
  consumed(p: VPort, n: number): void {
    p.inputAt += n;
    while (p.input.length > 0 && p.inputAt >= p.input[0]!.length) p.inputAt -= p.input.shift()!.length;
    this.repost(p);
  }

  /** Sends the first n bytes of a buffer taken from freeTx. */
  send(p: VPort, b: { pa: number }, n: number): void {
    this.hal.mem.touched(b.pa - RAM_BASE, n);
    p.tx.add([{ pa: b.pa, len: n, deviceWrites: false }], b);
    this.device.notify(p.txQueue);
  }
}
