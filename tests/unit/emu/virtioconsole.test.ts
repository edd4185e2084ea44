// virtio-console: ports, control messages, input and its end.
import type { ByteStream } from "../../../emu/dev/device.ts";
import { VirtioConsole } from "../../../emu/dev/virtio/console.ts";
import { RAM_BASE } from "../../../emu/bus/ram.ts";
import { assert, suite } from "../../helpers/suite.ts";
import { Driver, WRITE } from "../../helpers/virtiodriver.ts";

const test = suite("virtio-console");
const BUFFER = RAM_BASE + 0x2000, MULTIPORT = 2;
const RX0 = 0, TX0 = 1, CONTROL_RX = 2, CONTROL_TX = 3, RX1 = 4, TX1 = 5;
const READY = 0, ADD = 1, PORT_READY = 3, OPEN = 6, NAME = 7;

class Stream implements ByteStream {
  input: number[] = [];
  ended = false;
  output = "";
  onReadable = (): void => {};

  read(into: Uint8Array): number {
    if (this.input.length === 0) return this.ended ? -1 : 0;
    const got = this.input.splice(0, into.length);
    into.set(got);
    return got.length;
  }

  write(bytes: Uint8Array): void {
    this.output += String.fromCharCode(...bytes);
  }

  type(text: string): void {
    this.input.push(...Array.from(text, (c) => c.charCodeAt(0)));
    this.onReadable();
  }
}

function offerInput(d: Driver, q: number, head: number, len = 64): void {
  d.chain(q, [[BUFFER + q * 0x400 + head * 64, len, WRITE]], head);
  d.offer(q, head);
}

function send(d: Driver, q: number, bytes: readonly number[]): void {
  const at = BUFFER + q * 0x400;
  d.bytes(at, bytes.length).set(bytes);
  d.chain(q, [[at, bytes.length, 0]]);
  d.offer(q);
  d.settle();
  assert.is.not(d.takeUsed(q), null);
}

const control = (d: Driver, id: number, event: number, value: number): void => send(d, CONTROL_TX, [id, 0, 0, 0, event, 0, value, 0]);

/** => the next input of queue q as text, its buffer offered again */
function received(d: Driver, q: number): string | null {
  const used = d.takeUsed(q);
  if (used === null) return null;
  const text = String.fromCharCode(...d.bytes(BUFFER + q * 0x400 + used[0] * 64, used[1]));
  offerInput(d, q, used[0]);
  return text;
}

function messages(d: Driver): string[] {
  const list: string[] = [];
  for (let m = received(d, CONTROL_RX); m !== null; m = received(d, CONTROL_RX)) {
    list.push(`${m.charCodeAt(0)} ${m.charCodeAt(4)} ${m.charCodeAt(6)}${m.slice(8)}`);
    d.settle();
  }
  return list;
}

function start(): { d: Driver; streams: [Stream, Stream] } {
  const streams: [Stream, Stream] = [new Stream(), new Stream()];
  const d = new Driver(new VirtioConsole(streams), { features: MULTIPORT }).start(6);
  for (let i = 0; i < 4; i++) offerInput(d, CONTROL_RX, i);
  for (const q of [RX0, RX1]) offerInput(d, q, 0);
  return { d, streams };
}

function open(): { d: Driver; streams: [Stream, Stream] } {
  const { d, streams } = start();
  control(d, 0, READY, 1);
  assert.equal(messages(d), [`0 ${ADD} 1`, `1 ${ADD} 1`]);
  control(d, 0, PORT_READY, 1);
  control(d, 1, PORT_READY, 1);
  assert.equal(messages(d), [`0 ${NAME} 1stdio`, `0 ${OPEN} 1`, `1 ${NAME} 1stderr`, `1 ${OPEN} 1`]);
  return { d, streams };
}

test("ports are added, named and opened as the driver asks", () => {
  const { d } = open();
  assert.is(d.reg(0x104), 2, "two ports in the configuration");
});

test("output of each port reaches its stream at once", () => {
  const { d, streams } = open();
  send(d, TX0, [104, 105]);
  send(d, TX1, [33]);
  assert.is(streams[0].output, "hi");
  assert.is(streams[1].output, "!");
});

test("input waits until the driver opens the port, and its end closes the port after the last byte", () => {
  const { d, streams } = open();
  streams[0].type("abc");
  d.settle();
  assert.is(received(d, RX0), null);
  control(d, 0, OPEN, 1);
  assert.is(received(d, RX0), "abc");
  streams[0].ended = true;
  streams[0].type("z");
  d.settle();
  assert.is(received(d, RX0), "z");
  d.settle();
  assert.equal(messages(d), [`0 ${OPEN} 0`]);
  send(d, TX0, [46]);
  assert.is(streams[0].output, ".", "output goes on");
});

test("input longer than a buffer is not lost", () => {
  const { d, streams } = open();
  control(d, 0, OPEN, 1);
  const text = "0123456789".repeat(20);
  streams[0].type(text);
  let got = "";
  for (let i = 0; i < 10; i++) {
    d.settle();
    got += received(d, RX0) ?? "";
  }
  assert.is(got, text);
});

test("without multiport, port 0 works alone", () => {
  const streams = [new Stream(), new Stream()];
  const d = new Driver(new VirtioConsole(streams)).start(2);
  offerInput(d, RX0, 0);
  send(d, TX0, [120]);
  assert.is(streams[0]!.output, "x");
  streams[0]!.type("y");
  d.settle();
  assert.is(received(d, RX0), "y");
  d.set(0x108, 0x21);
  assert.is(streams[0]!.output, "x!", "emergency write");
});

test("a driver that asks without end and takes nothing is stopped", () => {
  const d = new Driver(new VirtioConsole([new Stream(), new Stream()]), { features: MULTIPORT }).start(6);
  d.bytes(BUFFER, 8).set([0, 0, 0, 0, READY, 0, 1, 0]);
  d.chain(CONTROL_TX, [[BUFFER, 8, 0]]);
  for (let i = 0; i < 200; i++) d.offer(CONTROL_TX);
  assert.is(d.needsReset, true);
});

test("output from a writable buffer and input into a readable one need a reset", () => {
  for (const [q, flags] of [[TX0, WRITE], [RX0, 0]] as const) {
    const { d, streams } = open();
    control(d, 0, OPEN, 1);
    d.chain(q, [[BUFFER, 8, flags]], 3);
    d.offer(q, 3);
    streams[0].type("abcdef");
    d.settle();
    for (let i = 0; i < 3; i++) {
      received(d, RX0);
      streams[0].type("x");
      d.settle();
    }
    assert.is(d.needsReset, true);
  }
});

test.run();
