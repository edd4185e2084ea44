// Drivers that lie: every broken ring or chain sets DEVICE_NEEDS_RESET, and a reset makes the device work again.
import { MemoryBackend } from "../../../emu/dev/backend.ts";
import { VirtioBlk } from "../../../emu/dev/virtio/blk.ts";
import { VirtioRng } from "../../../emu/dev/virtio/rng.ts";
import { RAM_BASE } from "../../../emu/bus/ram.ts";
import { Prng } from "../../../emu/dev/prng.ts";
import { assert, suite } from "../../helpers/suite.ts";
import { Driver, INDIRECT, NEXT, RAM_BYTES, WRITE } from "../../helpers/virtiodriver.ts";

const test = suite("virtio: hostile drivers");
const HEADER = RAM_BASE + 0x1000, DATA = RAM_BASE + 0x2000, STATUS = RAM_BASE + 0x1800, TABLE = RAM_BASE + 0x1400;
const END = RAM_BASE + RAM_BYTES, INDIRECT_DESC = 1 << 28;

type Case = [what: string, lay: (d: Driver) => void];

const chains: Case[] = [
  ["a chain that loops", (d) => {
    d.putDesc(d.desc(0), 0, [HEADER, 16, NEXT, 1]);
    d.putDesc(d.desc(0), 1, [HEADER, 16, NEXT, 0]);
  }],
  ["a descriptor that is its own next", (d) => d.putDesc(d.desc(0), 0, [HEADER, 16, NEXT, 0])],
  ["a next descriptor outside the table", (d) => d.putDesc(d.desc(0), 0, [HEADER, 16, NEXT, 8])],
  ["a buffer below RAM", (d) => d.chain(0, [[0x1000, 16, 0], [STATUS, 1, WRITE]])],
  ["a buffer beyond RAM", (d) => d.chain(0, [[HEADER, 16, 0], [END, 512, WRITE], [STATUS, 1, WRITE]])],
  ["a buffer that leaves RAM", (d) => d.chain(0, [[HEADER, 16, 0], [END - 8, 512, WRITE], [STATUS, 1, WRITE]])],
  ["a buffer at the top of the address space", (d) => d.chain(0, [[2 ** 64 - 4096, 16, 0], [STATUS, 1, WRITE]])],
  ["a buffer of 4 GiB", (d) => d.chain(0, [[HEADER, 16, 0], [DATA, 0xffffffff, WRITE], [STATUS, 1, WRITE]])],
  ["an empty buffer", (d) => d.chain(0, [[HEADER, 16, 0], [DATA, 0, WRITE], [STATUS, 1, WRITE]])],
  ["a readable buffer after a writable one", (d) => d.chain(0, [[HEADER, 16, 0], [STATUS, 1, WRITE], [DATA, 512, 0]])],
  ["no header", (d) => d.chain(0, [[STATUS, 1, WRITE]])],
  ["a short header", (d) => d.chain(0, [[HEADER, 15, 0], [STATUS, 1, WRITE]])],
  ["no status byte", (d) => d.chain(0, [[HEADER, 16, 0]])],
  ["a read into a readable buffer", (d) => d.chain(0, [[HEADER, 16, 0], [DATA, 512, 0], [STATUS, 1, WRITE]])],
  ["an indirect table outside RAM", (d) => d.putDesc(d.desc(0), 0, [END, 32, INDIRECT])],
  ["an indirect table of half a descriptor", (d) => d.putDesc(d.desc(0), 0, [TABLE, 24, INDIRECT])],
  ["an empty indirect table", (d) => d.putDesc(d.desc(0), 0, [TABLE, 0, INDIRECT])],
  ["an indirect table inside another", (d) => {
    d.putDesc(d.desc(0), 0, [TABLE, 32, INDIRECT]);
    d.putDesc(TABLE, 0, [TABLE, 32, INDIRECT]);
  }],
  ["an indirect table that loops", (d) => {
    d.putDesc(d.desc(0), 0, [TABLE, 32, INDIRECT]);
    d.putDesc(TABLE, 0, [HEADER, 16, NEXT, 1]);
    d.putDesc(TABLE, 1, [HEADER, 16, NEXT, 0]);
  }],
  ["an indirect descriptor with a next one", (d) => d.putDesc(d.desc(0), 0, [TABLE, 16, INDIRECT | NEXT, 1])],
];

function driver(version: 1 | 2, features = INDIRECT_DESC): Driver {
  return new Driver(new VirtioBlk(new MemoryBackend(new Uint8Array(65536))), { version, features }).start();
}

function readsAgain(d: Driver): void {
  d.start();
  assert.is(d.needsReset, false);
  d.put32(HEADER, 0);
  d.put64(HEADER + 8, 0);
  d.chain(0, [[HEADER, 16, 0], [DATA, 512, WRITE], [STATUS, 1, WRITE]]);
  d.offer(0);
  d.settle();
  assert.equal(d.takeUsed(0), [0, 513]);
}

for (const version of [1, 2] as const) {
  for (const [what, lay] of chains) {
    test(`version ${version}: ${what}`, () => {
      const d = driver(version);
      d.ram.u8.fill(0, HEADER - RAM_BASE, HEADER - RAM_BASE + 16);
      lay(d);
      d.offer(0);
      d.settle();
      assert.is(d.needsReset, true);
      assert.is.not(d.slot.lastError, "");
      assert.is(d.reg(0x060) & 2, 2, "announced as a change of configuration");
      assert.is(d.takeUsed(0), null);
      d.offer(0);
      d.settle();
      assert.is(d.takeUsed(0), null, "nothing more happens");
      readsAgain(d);
    });
  }

  test(`version ${version}: a head outside the table, and an available index from nowhere`, () => {
    const d = driver(version);
    d.offer(0, 8);
    d.settle();
    assert.is(d.needsReset, true);
    d.start();
    d.put16(d.avail(0) + 2, 9);
    d.set(0x050, 0);
    d.settle();
    assert.is(d.needsReset, true);
    readsAgain(d);
  });

  test(`version ${version}: an indirect descriptor that was not negotiated`, () => {
    const d = driver(version, 0);
    d.putDesc(d.desc(0), 0, [TABLE, 16, INDIRECT]);
    d.offer(0);
    d.settle();
    assert.is(d.needsReset, true);
  });
}

test("version 2: rings outside RAM, not aligned, or of an odd size", () => {
  const bad: [number, number, number][] = [
    [8, 0x1000, 0], [8, END, 0], [8, RAM_BASE + 8, 0], [7, RAM_BASE, 0], [0, RAM_BASE, 0], [512, RAM_BASE, 0], [8, RAM_BASE, 0xffffffff],
  ];
  for (const [num, desc, high] of bad) {
    const d = driver(2);
    d.set(0x044, 0);
    d.set(0x038, num);
    d.set(0x080, desc);
    d.set(0x084, high);
    d.set(0x044, 1);
    assert.is(d.needsReset, true, `${num} ${desc} ${high}`);
    readsAgain(d);
  }
});

test("version 1: a page frame outside RAM, a page size of 0, an alignment of 3", () => {
  for (const [offset, value] of [[0x040, 5], [0x040, 0xffffffff], [0x028, 0], [0x03c, 3]] as const) {
    const d = driver(1);
    d.set(0x040, 0);
    d.set(0x038, 8);
    d.set(offset, value);
    if (offset !== 0x040) d.set(0x040, 0x80010);
    assert.is(d.needsReset, true, `${offset.toString(16)} ${value}`);
    readsAgain(d);
  }
});

test("a chain that covers RAM many times over is refused", () => {
  const d = new Driver(new VirtioBlk(new MemoryBackend(new Uint8Array(65536))), { num: 256, features: INDIRECT_DESC }).start();
  const table = RAM_BASE + 0x40000;
  for (let i = 0; i < 1024; i++) d.putDesc(table, i, [RAM_BASE, RAM_BYTES, i === 0 ? NEXT : i < 1023 ? NEXT | WRITE : WRITE, i + 1]);
  d.putDesc(d.desc(0), 0, [table, 1024 * 16, INDIRECT]);
  d.offer(0);
  d.settle();
  assert.is(d.needsReset, true);
});

test("random rings never throw and never hang", () => {
  const random = new Prng(20261123);
  for (let round = 0; round < 300; round++) {
    const version = (random.next() & 1) === 0 ? 1 : 2;
    const d = driver(version, (random.next() & 1) === 0 ? INDIRECT_DESC : INDIRECT_DESC | (1 << 29));
    random.fill(d.bytes(HEADER, 0x800));
    for (let i = 0; i < d.num; i++) {
      const where = [HEADER, DATA, TABLE, END - 64, d.desc(0), random.next()][random.next() % 6]!;
      d.putDesc(random.next() % 4 === 0 ? TABLE : d.desc(0), i, [where, random.next() % 600, random.next() & 7, random.next() % 9]);
    }
    for (let i = 0; i < 4; i++) d.offer(0, random.next() % 9);
    if (random.next() % 8 === 0) d.set(0x030 + 4 * (random.next() % 40), random.next());
    d.settle();
    readsAgain(d);
  }
});

test("random bytes: the same from the same seed, and only into writable buffers", () => {
  const read = (seed: number): string => {
    const d = new Driver(new VirtioRng(seed)).start();
    d.chain(0, [[DATA, 30, WRITE]]);
    d.offer(0);
    d.settle();
    assert.equal(d.takeUsed(0), [0, 30]);
    return d.bytes(DATA, 30).join();
  };
  assert.is(read(1), read(1));
  assert.is.not(read(1), read(2));
  const d = new Driver(new VirtioRng(1)).start();
  d.chain(0, [[DATA, 30, 0]]);
  d.offer(0);
  d.settle();
  assert.is(d.needsReset, true);
});

test.run();
