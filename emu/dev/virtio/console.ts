// virtio-console with several ports: byte streams between guest and host, apart from the terminal.
//
//   queue 0, 1   receive and transmit of port 0       2, 3   control messages to and from the driver
//   queue 4, 5   receive and transmit of port 1       6, 7   port 2, and so on
//   control      port u32 | event u16 | value u16 | a name, for PORT_NAME
//
// With MULTIPORT: the driver says DEVICE_READY, gets DEVICE_ADD for each port, answers PORT_READY, gets the port's name
// and PORT_OPEN 1; input flows once the driver has said PORT_OPEN 1 itself. The end of the host's input is PORT_OPEN 0
// after the last byte; the port still takes output. Without MULTIPORT port 0 works alone and its input never ends.
//
// Output reaches the host at the notification, in order with the serial port's. Buffers come back, and input arrives, on
// an alarm of the virtual clock.
import type { AccessSize, ByteStream } from "../device.ts";
import type { Alarm } from "../../time/clock.ts";
import type { VirtioFunction, VirtioPort } from "./mmio.ts";
import type { VirtChain, VirtQueue } from "./queue.ts";

const LATENCY_NS = 1_000;
const F_SIZE = 0, F_MULTIPORT = 1, F_EMERG_WRITE = 2;
const CONTROL_RX = 2, CONTROL_TX = 3, CONTROL_BYTES = 8;
const DEVICE_READY = 0, DEVICE_ADD = 1, PORT_READY = 3, PORT_OPEN = 6, PORT_NAME = 7;
/** Messages waiting for a buffer; a driver that asks for more without taking any has gone wrong. */
const CONTROL_PENDING_MAX = 256;
/** Most input put into one buffer, and most output taken from one. */
const CHUNK_BYTES = 65536, OUTPUT_BYTES_MAX = 1 << 20;

/** One stream of the host, and what the driver did with its port. */
interface Port {
  readonly id: number;
  readonly name: string;
  readonly stream: ByteStream;
  guestOpen: boolean;
  ended: boolean;
  endTold: boolean;
  /** A receive buffer taken from the queue and not filled yet. */
  waiting: VirtChain | null;
}

export class VirtioConsole implements VirtioFunction {
  readonly name = "virtio-console";
  readonly deviceId = 3;
  readonly queueCount: number;
  readonly features = (1 << F_SIZE) | (1 << F_MULTIPORT) | (1 << F_EMERG_WRITE);
  readonly config = new Uint8Array(12);
  private readonly ports: Port[];
  private readonly control: Uint8Array[] = [];
  /** Transmit buffers whose bytes are out and which are to be given back. */
  private sent: { queue: VirtQueue; chain: VirtChain }[] = [];
  private port!: VirtioPort;
  private alarm!: Alarm;

  constructor(streams: readonly ByteStream[], names: readonly string[] = ["stdio", "stderr"]) {
    this.ports = streams.map((stream, id) => ({ id, stream, name: names[id] ?? `port${id}`, guestOpen: false, ended: false, endTold: false, waiting: null }));
    this.queueCount = 2 * Math.max(1, streams.length) + 2;
    const c = new DataView(this.config.buffer);
    c.setUint16(0, 80, true);
    c.setUint16(2, 25, true);
    c.setUint32(4, Math.max(1, streams.length), true);
  }

  attach(port: VirtioPort): void {
    this.port = port;
    this.alarm = port.clock.alarm(() => this.serve());
    for (const p of this.ports) p.stream.onReadable = () => this.wake();
  }

  notify(queueIndex: number): void {
    if (queueIndex === CONTROL_TX) this.takeControl();
    else if (queueIndex !== CONTROL_RX && (queueIndex & 1) === 1) this.takeOutput(queueIndex);
    this.wake();
  }

  writeConfig(offset: number, _size: AccessSize, value: number): void {
    if (offset === 8) this.ports[0]?.stream.write(Uint8Array.of(value & 0xff));
  }

  reset(): void {
    this.alarm.cancel();
    this.control.length = 0;
    this.sent = [];
    for (const p of this.ports) {
      p.guestOpen = p.endTold = false;
      p.waiting = null;
    }
  }

  private get multiport(): boolean {
    return this.port.negotiated(F_MULTIPORT);
  }

  private wake(): void {
    if (this.alarm.atNs === Infinity) this.alarm.set(this.port.clock.now + LATENCY_NS);
  }

  private takeOutput(queueIndex: number): void {
    const id = queueIndex < 2 ? 0 : (queueIndex - 2) >> 1, queue = this.port.queue(queueIndex), port = this.ports[id];
    for (let chain = queue.pop(); chain !== null; chain = queue.pop()) {
      if (chain.writableBytes > 0) return queue.fail("output from a writable buffer");
      if (chain.readableBytes > OUTPUT_BYTES_MAX) return queue.fail("output is too long");
      chain.eachReadable(0, chain.readableBytes, (bytes) => port?.stream.write(bytes));
      this.sent.push({ queue, chain });
    }
  }

  private takeControl(): void {
    const queue = this.port.queue(CONTROL_TX), message = new Uint8Array(CONTROL_BYTES), m = new DataView(message.buffer);
    for (let chain = queue.pop(); chain !== null; chain = queue.pop()) {
      if (chain.writableBytes > 0) return queue.fail("a control message in a writable buffer");
      if (chain.load(0, message) === CONTROL_BYTES) this.obey(m.getUint32(0, true), m.getUint16(4, true), m.getUint16(6, true));
      if (this.control.length > CONTROL_PENDING_MAX) return queue.fail("control messages are never taken");
      this.sent.push({ queue, chain });
    }
  }

  /** A message of the driver. Those that say an operation failed, and unknown ones, ask for nothing. */
  private obey(id: number, event: number, value: number): void {
    if (event === DEVICE_READY && value === 1) {
      for (const p of this.ports) this.say(p.id, DEVICE_ADD, 1);
      return;
    }
    const port = this.ports[id];
    if (port === undefined) return;
    if (event === PORT_READY && value === 1) {
      this.say(id, PORT_NAME, 1, port.name);
      this.say(id, PORT_OPEN, 1);
    } else if (event === PORT_OPEN) port.guestOpen = value === 1;
  }

  private say(id: number, event: number, value: number, name = ""): void {
    const message = new Uint8Array(CONTROL_BYTES + name.length), m = new DataView(message.buffer);
    m.setUint32(0, id, true);
    m.setUint16(4, event, true);
    m.setUint16(6, value, true);
    for (let i = 0; i < name.length; i++) message[CONTROL_BYTES + i] = name.charCodeAt(i);
    this.control.push(message);
  }

  /** Gives back what was sent, delivers input and control messages as far as there are buffers. */
  private serve(): void {
    const touched = new Set<VirtQueue>();
    for (const { queue, chain } of this.sent) {
      queue.push(chain, 0);
      touched.add(queue);
    }
    this.sent = [];
    for (const p of this.ports) {
      const queue = this.port.queue(p.id === 0 ? 0 : 2 + 2 * p.id);
      if (this.deliver(p, queue)) touched.add(queue);
    }
    if (this.multiport && this.deliverControl()) touched.add(this.port.queue(CONTROL_RX));
    for (const queue of touched) this.port.announce(queue);
  }

  /** Fills receive buffers with input. => whether one was filled */
  private deliver(p: Port, queue: VirtQueue): boolean {
    if (this.multiport && !p.guestOpen) return false;
    let filled = false;
    while (!p.ended) {
      p.waiting ??= queue.pop();
      const chain = p.waiting;
      if (chain === null) break;
      if (chain.readableBytes > 0) {
        queue.fail("input into a readable buffer");
        break;
      }
      const chunk = new Uint8Array(Math.min(chain.writableBytes, CHUNK_BYTES)), got = p.stream.read(chunk);
      if (got < 0) p.ended = true;
      if (got <= 0) break;
      queue.push(chain, chain.store(0, chunk.subarray(0, got)));
      p.waiting = null;
      filled = true;
    }
    if (p.ended && !p.endTold && this.multiport) {
      p.endTold = true;
      this.say(p.id, PORT_OPEN, 0);
    }
    return filled;
  }

  private deliverControl(): boolean {
    const queue = this.port.queue(CONTROL_RX);
    let filled = false;
    while (this.control.length > 0) {
      const chain = queue.pop();
      if (chain === null) break;
      queue.push(chain, chain.store(0, this.control.shift()!));
      filled = true;
    }
    return filled;
  }
}
