// HTIF without a program, and with one that has its output written by proxied system calls.
import { Htif } from "../../../emu/dev/htif.ts";
import { Machine } from "../../../emu/machine.ts";
import { assemble, elfOf } from "../../helpers/assembler.ts";
import { assert, suite } from "../../helpers/suite.ts";

const test = suite("htif"), BASE = 0x8000_0000, TOHOST = 0x1000, FROMHOST = 0x1040, MAGIC = 0x2000;

class Box {
  out = "";
  input = "";
  code: number | null = null;
  readonly machine = new Machine({ ramBytes: 1 << 20, console: { read: () => 0, write() {} } });
  readonly i64 = this.machine.ram.i64;
  private readonly htif = new Htif(this.machine.ram, BASE + TOHOST, BASE + FROMHOST, { halt: (c: number) => void (this.code = c) } as Machine, {
    read: (into) => {
      if (this.input === "") return 0;
      into[0] = this.input.charCodeAt(0);
      this.input = this.input.slice(1);
      return 1;
    },
    write: (b) => void (this.out += String.fromCharCode(...b)),
  });

  ask(value: bigint): void {
    this.i64[TOHOST / 8] = BigInt.asIntN(64, value);
    this.htif.look();
  }

  call(...words: number[]): bigint {
    words.forEach((w, i) => (this.i64[MAGIC / 8 + i] = BigInt(w)));
    this.ask(BigInt(BASE + MAGIC));
    return this.i64[MAGIC / 8]!;
  }

  get fromhost(): bigint {
    const v = this.i64[FROMHOST / 8]!;
    this.i64[FROMHOST / 8] = 0n;
    return v;
  }
}

test("a byte for the console is taken, tohost is zeroed, nothing is answered", () => {
  const box = new Box();
  for (const c of "hi") box.ask((0x0101n << 48n) | BigInt(c.charCodeAt(0)));
  assert.equal([box.out, box.i64[TOHOST / 8], box.fromhost], ["hi", 0n, 0n]);
});

test("a byte that was asked for is answered once it is there", () => {
  const box = new Box();
  box.ask(0x0100n << 48n);
  assert.is(box.fromhost, 0n);
  box.input = "k";
  box.ask((0x0101n << 48n) | 0x2en);
  assert.equal([box.fromhost, box.out], [(0x0100n << 48n) | 0x100n | 0x6bn, "."]);
});

test("a proxied write has its length as its result, and fromhost becomes 1", () => {
  const box = new Box();
  box.machine.ram.u8.set(new TextEncoder().encode("hello"), 0x3000);
  assert.equal([box.call(64, 1, BASE + 0x3000, 5), box.out, box.fromhost], [5n, "hello", 1n]);
  assert.equal([box.call(64, 1, 16, 5), box.call(64, 7, BASE, 1), box.call(1234)], [-14n, -9n, -38n]);
  box.ask(0x10n);
  assert.is(box.out, "hello", "a wild address does nothing");
  box.call(93, 9);
  assert.is(box.code, 9);
});

test("a program waits for fromhost and goes on", () => {
  let out = "";
  const source = `
    la t0, magic
    li t1, 64
    sd t1, 0(t0)
    li t1, 1
    sd t1, 8(t0)
    la t1, text
    sd t1, 16(t0)
    li t1, 4
    sd t1, 24(t0)
    la t2, tohost
    sd t0, 0(t2)
    la t3, fromhost
wait:
    ld t4, 0(t3)
    beqz t4, wait
    sd zero, 0(t3)
    ld t5, 0(t0)
    slli t5, t5, 1
    ori t5, t5, 1
    sd t5, 0(t2)
here: j here
    .align 6
tohost: .dword 0
    .align 6
fromhost: .dword 0
    .align 6
magic: .dword 0, 0, 0, 0, 0, 0, 0, 0
text: .dword 0x0a736579`;
  const machine = new Machine({
    ramBytes: 1 << 20, console: { read: () => 0, write: (b) => void (out += String.fromCharCode(...b)) },
    kernel: { name: "test", bytes: elfOf(assemble(source, BASE), BASE, ["tohost", "fromhost"]) },
  });
  machine.run(1e5);
  assert.equal([out, machine.halted?.code], ["yes\n", 4]);
});

test.run();
