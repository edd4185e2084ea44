// virtio-blk through both versions of the transport, driven register by register.
import { MemoryBackend, OverlayBackend } from "../../../emu/dev/backend.ts";
import type { BlockBackend } from "../../../emu/dev/device.ts";
import { VirtioBlk } from "../../../emu/dev/virtio/blk.ts";
import { RAM_BASE } from "../../../emu/bus/ram.ts";
import { assert, suite } from "../../helpers/suite.ts";
import { type Desc, Driver, type DriverOptions, INDIRECT, NEXT, WRITE } from "../../helpers/virtiodriver.ts";

const test = suite("virtio-blk");
const HEADER = RAM_BASE + 0x1000, DATA = RAM_BASE + 0x2000, STATUS = RAM_BASE + 0x1800, TABLE = RAM_BASE + 0x1400;
const SECTORS = 64, EVENT_IDX = 1 << 29, INDIRECT_DESC = 1 << 28, F_FLUSH = 1 << 9;
const IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, WRITE_ZEROES = 13;

function image(): Uint8Array {
  return Uint8Array.from({ length: SECTORS * 512 }, (_, i) => (i * 7 + (i >> 9)) & 0xff);
}

function start(options: DriverOptions & { disk?: BlockBackend } = {}): Driver {
  return new Driver(new VirtioBlk(options.disk ?? new MemoryBackend(image()), "disk-1"), options).start();
}

function header(d: Driver, type: number, sector: number): void {
  d.put32(HEADER, type);
  d.put32(HEADER + 4, 0);
  d.put64(HEADER + 8, sector);
  d.ram.u8[STATUS - RAM_BASE] = 0xff;
}

/** Runs one request of header, data and status. => [status, bytes written by the device] */
function request(d: Driver, type: number, sector: number, data: Desc[]): [number, number] {
  header(d, type, sector);
  d.chain(0, [[HEADER, 16, 0], ...data, [STATUS, 1, WRITE]]);
  d.offer(0);
  d.settle();
  const used = d.takeUsed(0);
  assert.is.not(used, null, `no completion: ${d.slot.lastError}`);
  return [d.bytes(STATUS, 1)[0]!, used![1]];
}

for (const version of [1, 2] as const) {
  test(`version ${version} reads a sector, interrupts once and takes the acknowledgement`, () => {
    const d = start({ version });
    assert.is(d.reg(0), 0x74726976);
    assert.is(d.reg(4), version);
    assert.is(d.reg(8), 2);
    assert.equal(request(d, IN, 3, [[DATA, 512, WRITE]]), [0, 513]);
    assert.equal(d.bytes(DATA, 512), image().subarray(3 * 512, 4 * 512));
    assert.is(d.reg(0x060), 1);
    assert.is(d.interrupts, 1);
    d.set(0x064, 1);
    assert.is(d.wire, false);
  });

  test(`version ${version} writes in pieces and reads back across an index wrap`, () => {
    const d = start({ version });
    for (let i = 0; i < 3 * d.num; i++) {
      d.bytes(DATA, 1024).fill(i);
      assert.equal(request(d, OUT, i % 60, [[DATA, 100, 0], [DATA + 100, 900, 0], [DATA + 1000, 24, 0]]), [0, 1]);
      assert.equal(request(d, IN, (i % 60) + 1, [[DATA + 0x1000, 512, WRITE]]), [0, 513]);
      assert.ok(d.bytes(DATA + 0x1000, 512).every((b) => b === i));
    }
  });

  test(`version ${version} with indirect tables and event indices interrupts only when asked`, () => {
    const d = start({ version, features: EVENT_IDX | INDIRECT_DESC | F_FLUSH });
    header(d, IN, 0);
    d.putDesc(TABLE, 0, [HEADER, 16, NEXT, 2]);
    d.putDesc(TABLE, 2, [DATA, 512, NEXT | WRITE, 1]);
    d.putDesc(TABLE, 1, [STATUS, 1, WRITE]);
    d.putDesc(d.desc(0), 5, [TABLE, 48, INDIRECT]);
    const usedEvent = d.avail(0) + 4 + 2 * d.num, availEvent = d.used(0) + 4 + 8 * d.num;
    d.put16(usedEvent, 1);
    d.offer(0, 5);
    d.settle();
    assert.equal(d.takeUsed(0), [5, 513]);
    assert.equal(d.bytes(DATA, 512), image().subarray(0, 512));
    assert.is(d.interrupts, 0, "the driver asked to hear of the second only");
    assert.is(d.u16(availEvent), 1, "the device asks to hear of the next");
    d.offer(0, 5);
    d.settle();
    assert.is(d.interrupts, 1);
  });
}

test("the no-interrupt flag of the available ring is obeyed", () => {
  const d = start();
  d.put16(d.avail(0), 1);
  request(d, IN, 0, [[DATA, 512, WRITE]]);
  assert.is(d.interrupts, 0);
});

test("one alarm serves all requests that are there, after the disk's latency", () => {
  const d = start();
  header(d, IN, 1);
  d.chain(0, [[HEADER, 16, 0], [DATA, 512, WRITE], [STATUS, 1, WRITE]]);
  d.offer(0);
  d.offer(0, 0, "quiet");
  assert.is(d.takeUsed(0), null, "not before its time");
  const due = d.clock.nextAlarm();
  assert.is(due, 10_000);
  d.settle();
  assert.ok(d.takeUsed(0) !== null && d.takeUsed(0) !== null);
  assert.is(d.interrupts, 1);
});

test("the configuration shows capacity and limits at every width", () => {
  const d = start();
  assert.is(d.reg(0x100), SECTORS);
  assert.is(d.reg(0x104), 0);
  assert.is(d.slot.read(0x100, 1), SECTORS);
  assert.is(d.slot.read(0x100, 2), SECTORS);
  assert.is(d.reg(0x114), 512);
  assert.is(d.reg(0x100 + 200), 0);
});

test("requests beyond the end, not whole sectors, or unknown end with a status", () => {
  const d = start();
  assert.is(request(d, IN, SECTORS, [[DATA, 512, WRITE]])[0], 1);
  assert.is(request(d, IN, SECTORS - 1, [[DATA, 1024, WRITE]])[0], 1);
  assert.is(request(d, IN, 2 ** 60, [[DATA, 512, WRITE]])[0], 1);
  assert.is(request(d, OUT, SECTORS, [[DATA, 512, 0]])[0], 1);
  assert.is(request(d, IN, 0, [[DATA, 500, WRITE]])[0], 1);
  assert.is(request(d, 99, 0, [[DATA, 512, WRITE]])[0], 2);
  assert.is(d.needsReset, false);
});

test("get-id, flush, discard and write-zeroes do what they say", () => {
  const bytes = image();
  let flushes = 0;
  const memory = new MemoryBackend(bytes);
  const disk: BlockBackend = {
    sizeBytes: memory.sizeBytes, readOnly: false, read: (o, b) => memory.read(o, b), write: (o, b) => memory.write(o, b),
    discard: (o, n) => memory.discard(o, n), flush: () => void flushes++,
  };
  const d = start({ disk, features: F_FLUSH });
  assert.equal(request(d, GET_ID, 0, [[DATA, 20, WRITE]]), [0, 21]);
  assert.is(String.fromCharCode(...d.bytes(DATA, 6)), "disk-1");
  assert.is(request(d, FLUSH, 0, [])[0], 0);
  assert.is(flushes, 1);
  const range = (sector: number, count: number, flags: number) => {
    d.put64(DATA, sector);
    d.put32(DATA + 8, count);
    d.put32(DATA + 12, flags);
  };
  range(4, 2, 0);
  assert.is(request(d, DISCARD, 0, [[DATA, 16, 0]])[0], 0);
  assert.ok(bytes.subarray(4 * 512, 6 * 512).every((b) => b === 0) && bytes[6 * 512] !== 0);
  range(8, 1, 1);
  assert.is(request(d, WRITE_ZEROES, 0, [[DATA, 16, 0]])[0], 0);
  assert.ok(bytes.subarray(8 * 512, 9 * 512).every((b) => b === 0));
  range(8, 1, 4);
  assert.is(request(d, WRITE_ZEROES, 0, [[DATA, 16, 0]])[0], 2);
  range(SECTORS - 1, 2, 0);
  assert.is(request(d, DISCARD, 0, [[DATA, 16, 0]])[0], 1);
});

test("without flush in force a finished write is flushed", () => {
  let flushes = 0;
  class Counting extends MemoryBackend {
    override flush(): void {
      flushes++;
    }
  }
  request(start({ disk: new Counting(image()) }), OUT, 0, [[DATA, 512, 0]]);
  assert.is(flushes, 1);
});

test("a read-only disk says so and refuses writes; a failing host is an I/O error", () => {
  const d = start({ disk: new MemoryBackend(image(), { readOnly: true }) });
  d.set(0x014, 0);
  assert.ok((d.reg(0x010) & 32) !== 0);
  assert.is(request(d, OUT, 0, [[DATA, 512, 0]])[0], 1);
  const fail = (): never => {
    throw new Error("the host's disk is gone");
  };
  const broken = start({ disk: { sizeBytes: 4096, readOnly: false, read: fail, write: fail, flush: fail } });
  assert.is(request(broken, IN, 0, [[DATA, 512, WRITE]])[0], 1);
  assert.is(request(broken, FLUSH, 0, [])[0], 1);
});

test("an overlay keeps changes away from the disk below", () => {
  const below = image(), overlay = new OverlayBackend(new MemoryBackend(below, { readOnly: true }));
  overlay.write(4090, new Uint8Array(10).fill(0xee));
  const got = new Uint8Array(20), want = image().subarray(4085, 4105);
  want.fill(0xee, 5, 15);
  overlay.read(4085, got);
  assert.equal(got, want);
  assert.equal(below, image());
  assert.is(overlay.changedBytes, 8192);
});

test("features that were not offered are refused, and nothing works before DRIVER_OK", () => {
  const d = new Driver(new VirtioBlk(new MemoryBackend(image())));
  d.set(0x070, 3);
  d.set(0x020, 1 << 30);
  d.set(0x070, 11);
  assert.is(d.reg(0x070) & 8, 0);
  d.set(0x070, 0);
  d.set(0x070, 3);
  d.set(0x020, 0);
  d.set(0x070, 11);
  assert.is(d.reg(0x070) & 8, 8, "a driver that ignores VERSION_1 is let in, as on QEMU");
  d.setupQueue(0);
  header(d, IN, 0);
  d.chain(0, [[HEADER, 16, 0], [DATA, 512, WRITE], [STATUS, 1, WRITE]]);
  d.offer(0);
  d.settle();
  assert.is(d.takeUsed(0), null);
});

test("an empty slot shows id 0 and swallows writes", () => {
  const d = new Driver(null);
  assert.is(d.reg(8), 0);
  d.set(0x070, 1);
  assert.is(d.reg(0x070), 0);
});

test("version 1: the page size outlives the driver's reset, since drivers set it first; a reset of the board forgets it", () => {
  const d = new Driver(new VirtioBlk(new MemoryBackend(image())), { version: 1 });
  d.set(0x028, 4096);
  d.set(0x070, 0);
  for (const status of [1, 3]) d.set(0x070, status);
  d.setupQueue(0);
  assert.is(d.slot.lastError, "");
  assert.is(d.reg(0x070), 3);
  d.slot.reset();
  d.setupQueue(0);
  assert.is.not(d.slot.lastError, "");
});

test("the vendor is the one that teaching kernels insist on", () => assert.is(new Driver(new VirtioBlk(new MemoryBackend(image()))).reg(0x00c), 0x554d4551));

test.run();
