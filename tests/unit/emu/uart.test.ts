// The serial port and the real-time clock.
import type { ByteStream } from "../../../emu/dev/device.ts";
import { DEFAULT_EPOCH_SECONDS, GoldfishRtc } from "../../../emu/dev/rtc.ts";
import { Uart16550 } from "../../../emu/dev/uart16550.ts";
import { VirtualClock } from "../../../emu/time/clock.ts";
import { assert, suite } from "../../helpers/suite.ts";

const test = suite("uart16550");
const IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7;

function board() {
  const counter = { instret: 0 }, clock = new VirtualClock(counter);
  const input: number[] = [], wire = { level: false }, sent: number[] = [];
  const stream: ByteStream = {
    read(into) {
      const got = input.splice(0, into.length);
      into.set(got);
      return got.length;
    },
    write: (bytes) => void sent.push(...bytes),
  };
  const uart = new Uart16550(stream, (level) => void (wire.level = level), clock);
  const type = (...bytes: number[]) => {
    input.push(...bytes);
    stream.onReadable!();
  };
  return { uart, wire, sent, type, input, clock, get: (r: number) => uart.read(r, 1), set: (r: number, v: number) => uart.write(r, 1, v) };
}

test("the registers that probes look at", () => {
  const { get, set } = board();
  assert.is(get(LSR), 0x60);
  assert.is(get(IIR), 1);
  assert.is(get(MSR) & 0xf0, 0xb0);
  set(SCR, 0xa5);
  assert.is(get(SCR), 0xa5);
  set(IER, 0xff);
  assert.is(get(IER), 0x0f);
  set(LCR, 0x80);
  set(0, 0x34);
  set(1, 0x12);
  assert.is(get(0), 0x34);
  assert.is(get(1), 0x12);
  set(LCR, 3);
  assert.is(get(IER), 0x0f, "the divisor latch hid it only");
  set(FCR, 1);
  assert.is(get(IIR) & 0xc0, 0xc0, "FIFOs are on");
});

test("the empty transmitter interrupts once: when enabled, after each byte, until IIR is read", () => {
  const { get, set, wire, sent } = board();
  set(IER, 2);
  assert.is(wire.level, true);
  assert.is(get(IIR), 2);
  assert.is(wire.level, false);
  assert.is(get(IIR), 1);
  set(0, 0x41);
  assert.equal(sent, [0x41]);
  assert.is(wire.level, true);
  assert.is(get(IIR), 2);
  set(IER, 2);
  assert.is(wire.level, false, "writing the same again is no edge");
});

test("received bytes come in order, without loss, and data outranks the transmitter", () => {
  const { get, set, wire, type, input } = board();
  set(FCR, 0x01);
  set(IER, 3);
  type(...Array.from({ length: 40 }, (_, i) => i));
  assert.is(input.length, 24, "the FIFO takes sixteen, the rest waits outside");
  assert.is(get(IIR) & 15, 4);
  const got: number[] = [];
  while ((get(LSR) & 1) !== 0) got.push(get(0));
  assert.equal(got, Array.from({ length: 40 }, (_, i) => i));
  assert.is(get(IIR) & 15, 2);
  assert.is(wire.level, false);
});

test("below the trigger level the time-out reports what is there", () => {
  const { get, set, wire, type, clock } = board();
  set(FCR, 0x81);
  set(IER, 1);
  type(1, 2, 3);
  assert.is(wire.level, false);
  clock.skipTo(clock.nextAlarm());
  assert.is(wire.level, true);
  assert.is(get(IIR) & 15, 12);
  for (let i = 0; i < 3; i++) get(0);
  assert.is(wire.level, false);
  type(...new Array<number>(8).fill(9));
  assert.is(get(IIR) & 15, 4);
});

test("clearing the FIFO drops what loopback left, and no byte of the stream", () => {
  const { get, set, type } = board();
  type(1, 2);
  set(FCR, 0x01);
  assert.is(get(0), 1);
  type(...Array.from({ length: 20 }, (_, i) => 3 + i));
  set(FCR, 0x07);
  set(FCR, 0x00);
  const got: number[] = [];
  while ((get(LSR) & 1) !== 0) got.push(get(0));
  assert.equal(got, Array.from({ length: 21 }, (_, i) => 2 + i));
  set(MCR, 0x10);
  set(0, 7);
  set(FCR, 0x07);
  set(MCR, 0);
  assert.is(get(LSR) & 1, 0);
});

test("loopback returns bytes, overruns, and shows the modem lines", () => {
  const { get, set, sent } = board();
  set(MCR, 0x10);
  set(IER, 4);
  set(0, 7);
  assert.is(get(0), 7);
  set(0, 8);
  set(0, 9);
  assert.is(get(IIR), 6);
  assert.is(get(LSR) & 2, 2);
  assert.is(get(IIR), 1);
  set(MCR, 0x1a);
  assert.is(get(MSR) & 0xf0, 0x90);
  assert.equal(sent, []);
});

test("the real-time clock follows the virtual clock from its epoch, can be set, and alarms", () => {
  const counter = { instret: 0 }, clock = new VirtualClock(counter), wire = { level: false };
  const rtc = new GoldfishRtc(clock, (level) => void (wire.level = level));
  const now = () => BigInt(rtc.read(0, 4)) + (BigInt(rtc.read(4, 4)) << 32n);
  const epoch = BigInt(DEFAULT_EPOCH_SECONDS) * 1_000_000_000n;
  assert.is(now(), epoch);
  counter.instret = 12345;
  assert.is(now(), epoch + 12345n);
  rtc.write(4, 4, 1);
  rtc.write(0, 4, 100);
  assert.is(now(), (1n << 32n) + 100n);
  rtc.write(0x10, 4, 1);
  rtc.write(0x0c, 4, 1);
  rtc.write(0x08, 4, 600);
  assert.is(rtc.read(0x18, 4), 1);
  clock.skipTo(12345 + 499);
  assert.is(wire.level, false);
  clock.skipTo(12345 + 500);
  assert.is(wire.level, true);
  rtc.write(0x1c, 4, 1);
  assert.is(wire.level, false);
});

test.run();
