// CSRs, traps and interrupts, as programs in M-, S- and U-mode meet them.
import * as csr from "../../../emu/hart/csrnum.ts";
import { Machine } from "../../../emu/machine.ts";
import { assemble } from "../../helpers/assembler.ts";
import { assert, suite } from "../../helpers/suite.ts";

const test = suite("privileged");
const A0 = 10, S0 = 8, S1 = 9, T0 = 5;

/** Opens PMP and goes to `next` in a privilege: 0 U, 1 S. */
const ENTER = (priv: number) => `
        li t0, -1
        csrw pmpaddr0, t0
        li t0, 0x1f
        csrw pmpcfg0, t0
        li t0, 0x1800
        csrc mstatus, t0
        li t0, ${priv << 11}
        csrs mstatus, t0
        la t0, next
        csrw mepc, t0
        mret
`;
/** Traps into M-mode end the machine, interrupts of S-mode go to `strap`. */
const HANDLED_BY_S = `
        la t0, done
        csrw mtvec, t0
        la t0, strap
        csrw stvec, t0
        li t0, 0x222
        csrw mideleg, t0
`;
/** A handler that ends the machine. */
const END = `
done:   li t6, 0x100000
        li t5, 0x5555
        sw t5, 0(t6)
        j .
`;

function machine(source: string, extra = {}) {
  const { bytes, symbols } = assemble(source);
  const m = new Machine({ ramBytes: 1 << 20, console: { read: () => 0, write() {} }, ...extra });
  m.ram.u8.set(bytes);
  return { m, hart: m.hart, at: (name: string) => symbols.get(name)! };
}

/** Runs a program to its end. */
function run(source: string, extra = {}, budget = 2e6) {
  const world = machine(source + END, extra), how = world.m.run(budget);
  assert.is(how, "halted", `ended by ${how} at ${world.hart.pc.toString(16)}, mcause ${world.hart.readCsr(csr.MCAUSE)}`);
  return world;
}

test("exceptions enter M-mode with cause, pc and value", () => {
  const cases: [string, bigint, string | bigint][] = [
    ["ebreak", 3n, "fault"], ["ecall", 11n, 0n], ["csrr t1, 0x999", 2n, 0x99902373n], ["li t1, 8", 5n, 8n], ["csrw cycle, x0", 2n, 0xc0001073n],
  ];
  for (const [insn, cause, tval] of cases) {
    const body = insn.startsWith("li t1") ? "li t1, 8\nfault: ld t2, 0(t1)" : `fault: ${insn}`;
    const { hart, at } = run(`la t0, done\ncsrw mtvec, t0\n${body}\nj .\n`);
    assert.is(hart.readCsr(csr.MCAUSE), cause, insn);
    assert.is(hart.readCsr(csr.MEPC), BigInt(at("fault")), insn);
    assert.is(hart.readCsr(csr.MTVAL), tval === "fault" ? BigInt(at("fault")) : (tval as bigint), insn);
  }
});

test("a trap from U-mode that is delegated enters S-mode, and sret goes back", () => {
  const { hart, at } = run(`
        la t0, mtrap
        csrw mtvec, t0
        la t0, strap
        csrw stvec, t0
        li t0, 0x100
        csrw medeleg, t0
        ${ENTER(0)}
next:   ecall
after:  ebreak
        .align 2
strap:  csrr s0, scause
        csrr s1, sepc
        csrr s2, sstatus
        addi t0, s1, 4
        csrw sepc, t0
        sret
        .align 2
mtrap:  csrr a0, mcause
`);
  assert.is(hart.reg(S0), 8);
  assert.is(hart.reg(S1), at("next"));
  assert.is(hart.reg(18) & 0x100, 0, "SPP says U");
  assert.is(hart.reg(A0), 3, "ebreak is not delegated");
  assert.is(hart.readCsr(csr.MEPC), BigInt(at("after")));
  assert.is((hart.readCsr(csr.MSTATUS) >> 11n) & 3n, 0n);
});

test("a trap in M-mode is never delegated", () => {
  const { hart } = run(`
        li t0, -1
        csrw medeleg, t0
        la t0, done
        csrw mtvec, t0
        ebreak
`);
  assert.is(hart.readCsr(csr.MCAUSE), 3n);
  assert.is(hart.priv, 3);
});

test("vectored interrupts go to base + 4 * cause, exceptions to base", () => {
  const { hart } = run(`
        la t0, table
        addi t0, t0, 1
        csrw mtvec, t0
        li t0, 8
        csrw mie, t0
        csrsi mstatus, 8
        li t0, 0x2000000
        li t1, 1
        sw t1, 0(t0)
        j .
        .align 8
table:  j bad
        j bad
        j bad
        j good
bad:    li a0, 1
        j done
good:   li a0, 2
`);
  assert.is(hart.reg(A0), 2);
  assert.is(hart.readCsr(csr.MCAUSE), (1n << 63n) | 3n);
  assert.is(hart.readCsr(csr.MSTATUS) & 0x88n, 0x80n, "MIE moved to MPIE");
});

test("the machine timer interrupts at the exact instruction", () => {
  const { hart, m } = run(`
        la t0, done
        csrw mtvec, t0
        li t0, 0x2004000
        li t1, 50
        sd t1, 0(t0)
        li t0, 0x80
        csrw mie, t0
        csrsi mstatus, 8
loop:   addi a0, a0, 1
        j loop
`);
  assert.is(hart.readCsr(csr.MCAUSE), (1n << 63n) | 7n);
  // 5000 ns: the handler's four instructions up to the store to the finisher came after.
  assert.ok(m.hart.instret >= 5003 && m.hart.instret <= 5008, `${m.hart.instret}`);
  const before = hart.instret;
  assert.is(before, run(`
        la t0, done
        csrw mtvec, t0
        li t0, 0x2004000
        li t1, 50
        sd t1, 0(t0)
        li t0, 0x80
        csrw mie, t0
        csrsi mstatus, 8
loop:   j loop
`).hart.instret, "whatever the loop does");
});

for (const [engine, tuning] of [["interp", {}], ["jit", { hot: 2 }], ["check", { hot: 2 }]] as const) {
  test(`an interrupt that waits comes behind the instruction that lets it in, and none before (${engine})`, () => {
    const { hart, at } = run(`
        ${HANDLED_BY_S}
        li t0, 2
        csrw mie, t0
        ${ENTER(1)}
next:   li s0, 200
        li s1, 2
loop:   csrrci a1, sstatus, 2
        and a1, a1, s1
        add a2, a2, a1
        csrs sstatus, s1
        csrrc a3, sstatus, s1
        and a3, a3, s1
        add a4, a4, a3
        csrrsi x0, sstatus, 2
        addi s0, s0, -1
        bnez s0, loop
        csrrci x0, sstatus, 2
        csrrsi x0, sip, 2
        li s0, 5
wait:   csrrs a5, sstatus, x0
        and a5, a5, s1
        add a6, a6, a5
        addi s0, s0, -1
        bnez s0, wait
        csrs sstatus, s1
behind: li a0, 1
        j done
strap:  csrr s2, sepc
        li a0, 2
        ebreak
`, { engine, tuning });
    assert.is(hart.reg(A0), 2);
    assert.is(hart.reg(18), at("behind"));
    assert.is(hart.readCsr(csr.SCAUSE), (1n << 63n) | 1n);
    assert.equal([12, 14, 16].map((r) => hart.reg(r)), [2 * 199, 2 * 200, 0], "what SIE was, each time");
  });
}

test("sstatus is none of U-mode's, and of its bits only SIE is switched without the rest", () => {
  for (const insn of ["csrrsi x0, sstatus, 2", "csrrci t1, sstatus, 2", "csrs sstatus, t0", "csrr t1, sstatus"]) {
    const { hart, at } = run(`la t0, done\ncsrw mtvec, t0\n${ENTER(0)}\nnext: li t0, 2\nfault: ${insn}\nj .\n`);
    assert.equal([hart.readCsr(csr.MCAUSE), hart.readCsr(csr.MEPC)], [2n, BigInt(at("fault"))], insn);
  }
  const { hart } = run(`
        li t0, 0x2000
        csrs mstatus, t0
        li t0, 0x40122
        csrrs s0, sstatus, t0
        csrrsi s1, sstatus, 2
        csrrci a0, sstatus, 2
        csrr a1, sstatus
`);
  const fixed = 2n << 32n, value = (r: number) => hart.x64[r]!;
  assert.equal([S0, S1, A0, A0 + 1].map(value), [fixed | 0x2000n, fixed | 0x42122n, fixed | 0x42122n, fixed | 0x42120n]);
});

test("Sstc: stimecmp interrupts S-mode, wfi skips the time until then", () => {
  const { hart, m } = run(`
        ${HANDLED_BY_S}
        li t0, 1
        slli t0, t0, 63
        csrw menvcfg, t0
        li t0, 7
        csrw mcounteren, t0
        ${ENTER(1)}
next:   csrr t0, time
        li t1, 1000
        add t1, t1, t0
        csrw stimecmp, t1
        li t0, 0x20
        csrw sie, t0
        csrsi sstatus, 2
        wfi
back:   j .
        .align 2
strap:  csrr s0, scause
        csrr s1, sepc
        csrr a0, time
        csrr a1, sip
        li t0, -1
        csrw stimecmp, t0
        csrr a2, sip
        ebreak
`);
  assert.is(BigInt.asUintN(64, hart.x64[S0]!), (1n << 63n) | 5n);
  assert.is(hart.readCsr(csr.SEPC) > 0n, true);
  assert.ok(hart.reg(A0) >= 1000 && hart.reg(A0) <= 1002, `${hart.reg(A0)}`);
  assert.is(hart.reg(11) & 0x20, 0x20);
  assert.is(hart.reg(12) & 0x20, 0);
  assert.ok(m.hart.instret < 200);
});

test("without Sstc stimecmp is illegal in S-mode, and M-mode's software sets STIP", () => {
  const { hart } = run(`
        la t0, mtrap
        csrw mtvec, t0
        la t0, strap
        csrw stvec, t0
        li t0, 0x222
        csrw mideleg, t0
        li t0, 0x20
        csrs mip, t0
        csrs mie, t0
        ${ENTER(1)}
next:   csrr t0, stimecmp
        .align 2
mtrap:  csrr s0, mcause
        li t0, 0x800
        csrs mstatus, t0
        la t0, more
        csrw mepc, t0
        la t0, done
        csrw mtvec, t0
        mret
more:   csrsi sstatus, 2
        j .
        .align 2
strap:  csrr s1, scause
        li t0, 0x20
        csrc sip, t0
        csrr a0, sip
        ebreak
`);
  assert.is(hart.reg(S0), 2);
  assert.is(hart.reg(S1) < 0 && Number(BigInt.asUintN(63, hart.x64[S1]!)), 5);
  assert.is(hart.reg(A0) & 0x20, 0x20, "sip.STIP is read-only");
});

test("external interrupts reach S-mode through the PLIC; SEIP set by software is or-ed with the wire", () => {
  const { m, hart } = machine("j .");
  const wire = m.plic.line(10);
  m.bus.write(0xc000028, 4, 1);
  m.bus.write(0xc002080, 4, 1 << 10);
  wire(true);
  assert.is(hart.readCsr(csr.MIP), 0x200n);
  hart.writeCsr(csr.MIP, 0x200n);
  wire(false);
  assert.is(hart.readCsr(csr.MIP), 0x200n, "software's bit stays");
  hart.writeCsr(csr.MIP, 0n);
  assert.is(hart.readCsr(csr.MIP), 0n);
});

test("csrrs on mip does not make the PLIC's wire software's bit", () => {
  const { m, hart } = machine("csrsi mip, 2\nj .");
  m.bus.write(0xc000028, 4, 1);
  m.bus.write(0xc002080, 4, 1 << 10);
  m.plic.line(10)(true);
  m.run(1);
  m.plic.line(10)(false);
  assert.is(hart.readCsr(csr.MIP), 2n);
});

test("interrupts come in order MEI MSI MTI SEI SSI STI, and M-mode's own before delegated ones", () => {
  const { hart } = machine("j .");
  const { interrupts } = hart.control;
  interrupts.mie = 0xaaa;
  interrupts.wires = 0xaa8;
  interrupts.soft = 0x22;
  const order: number[] = [];
  for (let irq = interrupts.takeable(0, 0); irq >= 0; irq = interrupts.takeable(0, 0)) {
    order.push(irq);
    interrupts.wires &= ~(1 << irq);
    interrupts.soft &= ~(1 << irq);
  }
  assert.equal(order, [11, 3, 7, 9, 1, 5]);
  interrupts.soft = 0x2;
  interrupts.wires = 0x280;
  interrupts.mideleg = 0x222;
  assert.is(interrupts.takeable(1, 2), 7);
  assert.is(interrupts.takeable(3, 0), -1);
  assert.is(interrupts.takeable(3, 2), -1, "delegated interrupts never interrupt M-mode");
  interrupts.wires = 0x200;
  assert.is(interrupts.takeable(1, 0), -1);
  assert.is(interrupts.takeable(0, 0), 9);
});

test("TVM, TW and TSR make S-mode's satp, sfence.vma, wfi and sret illegal", () => {
  const cases: [number, string][] = [[1 << 20, "csrr t1, satp"], [1 << 20, "sfence.vma x0, x0"], [1 << 21, "wfi"], [1 << 22, "sret"]];
  for (const [bit, insn] of cases) for (const set of [true, false]) {
    const { hart } = run(`
        la t0, done
        csrw mtvec, t0
        la t0, fine
        csrw sepc, t0
        li t0, 2
        csrw mideleg, t0
        csrw mie, t0
        csrw mip, t0
        li t0, 0x100
        csrs mstatus, t0
        ${set ? `li t0, ${bit}\ncsrs mstatus, t0` : ""}
        ${ENTER(1)}
next:   ${insn}
fine:   ebreak
`);
    assert.is(hart.readCsr(csr.MCAUSE), set ? 2n : 3n, `${insn} ${set}`);
  }
});

test("privileged instructions are illegal in U-mode, and so are CSRs of a higher privilege", () => {
  for (const insn of ["mret", "sret", "wfi", "sfence.vma x0, x0", "csrr t1, sstatus", "csrr t1, mstatus", "csrr t1, cycle", "csrr t1, satp"]) {
    const { hart, at } = run(`la t0, done\ncsrw mtvec, t0\n${ENTER(0)}\nnext: ${insn}\nebreak\n`);
    assert.is(hart.readCsr(csr.MCAUSE), 2n, insn);
    assert.is(hart.readCsr(csr.MEPC), BigInt(at("next")), insn);
  }
});

test("counters are open to U-mode by mcounteren and scounteren together", () => {
  for (const [m, s, cause] of [[7, 7, 3n], [7, 0, 2n], [0, 7, 2n]] as const) {
    const { hart } = run(`
        la t0, done
        csrw mtvec, t0
        csrwi mcounteren, ${m}
        csrwi scounteren, ${s}
        ${ENTER(0)}
next:   csrr t1, instret
        ebreak
`);
    assert.is(hart.readCsr(csr.MCAUSE), cause, `${m} ${s}`);
  }
});

test("minstret counts, takes a written value from the next instruction on, and stops when inhibited", () => {
  const { hart } = run(`
        csrr s0, minstret
        csrr s1, minstret
        li t0, 1000
        csrw minstret, t0
        csrr a0, minstret
        csrr a1, minstret
        csrwi mcountinhibit, 4
        csrr a2, minstret
        nop
        csrr a3, minstret
        csrr a4, mcycle
        nop
        csrr a5, mcycle
`);
  assert.is(hart.reg(S1) - hart.reg(S0), 1);
  assert.is(hart.reg(10), 1000);
  assert.is(hart.reg(11), 1001);
  assert.is(hart.reg(12), hart.reg(13));
  assert.is(hart.reg(15) - hart.reg(14), 2);
});

test("mstatus: MPP 2 is not written, SD follows FS, UXL and SXL are fixed", () => {
  const { hart } = machine("j .");
  hart.writeCsr(csr.MSTATUS, 0x1800n);
  hart.writeCsr(csr.MSTATUS, 0x1000n);
  assert.is(hart.readCsr(csr.MSTATUS), 0xa_0000_1800n);
  hart.writeCsr(csr.MSTATUS, 0x6000n);
  assert.is(hart.readCsr(csr.MSTATUS), 0x8000_000a_0000_6000n);
  assert.is(hart.readCsr(csr.SSTATUS), 0x8000_0002_0000_6000n);
  hart.writeCsr(csr.SSTATUS, 0n);
  assert.is(hart.readCsr(csr.MSTATUS), 0xa_0000_0000n);
});

test("WARL fields keep only what the hart has", () => {
  const { hart } = machine("j ."), ones = (1n << 64n) - 1n;
  const kept: [number, bigint][] = [
    [csr.MEDELEG, 0xb3ffn], [csr.MIDELEG, 0x222n], [csr.MIE, 0xaaan], [csr.MTVEC, ones - 2n], [csr.MEPC, ones - 1n], [csr.MISA, 0x8000_0000_0014_112dn],
    [csr.MENVCFG, (1n << 63n) | 1n], [csr.SENVCFG, 1n], [csr.PMPADDR0, (1n << 54n) - 1n], [csr.MVENDORID, 0n], [csr.TSELECT, 0n], [csr.MCOUNTINHIBIT, 5n],
  ];
  for (const [n, value] of kept) {
    hart.writeCsr(n, ones);
    assert.is(hart.readCsr(n), value, csr.csrName(n));
  }
});

test("floating-point CSRs are illegal while FS is off; writing them makes FS dirty", () => {
  const { hart } = run(`
        la t0, done
        csrw mtvec, t0
        li t0, 0x2000
        csrs mstatus, t0
        csrwi fflags, 31
        csrwi frm, 3
        csrr s0, fcsr
        csrr s1, mstatus
        li t0, 0x6000
        csrc mstatus, t0
        csrr a0, fcsr
`);
  assert.is(hart.reg(S0), 0x7f);
  assert.is(Number((BigInt.asUintN(64, hart.x64[S1]!) >> 13n) & 3n), 3);
  assert.is(hart.readCsr(csr.MCAUSE), 2n);
});

test("csrrs with x0 reads a read-only register; csrrw to x0 still writes", () => {
  const { hart } = run(`
        la t0, done
        csrw mtvec, t0
        csrrs s0, mhartid, x0
        csrrci s1, cycle, 0
        li t0, 55
        csrrw x0, mscratch, t0
        csrrw x0, mhartid, x0
`);
  assert.is(hart.readCsr(csr.MSCRATCH), 55n);
  assert.is(hart.readCsr(csr.MCAUSE), 2n);
});

test("MPRV makes M-mode's loads go by MPP, and mret to a lower mode clears it", () => {
  const { hart } = run(`
        la t0, fault
        csrw mtvec, t0
        li t0, 0x20000
        csrs mstatus, t0
        ld s0, 0(sp)
        j .
        .align 2
fault:  csrr a0, mcause
        csrr s1, mstatus
        la t0, done
        csrw mtvec, t0
        li t0, 0x21800
        csrc mstatus, t0
        li t0, 0x20000
        csrs mstatus, t0
        ${ENTER(1)}
next:   ebreak
`);
  assert.is(hart.reg(A0), 5, "no PMP entry: U-mode has no memory");
  assert.is(hart.readCsr(csr.MSTATUS) & 0x20000n, 0n);
});

test("wfi with an interrupt that is enabled and pending goes on; with nothing to come the machine is idle", () => {
  const { hart } = run(`
        li t0, 8
        csrw mie, t0
        li t0, 0x2000000
        li t1, 1
        sw t1, 0(t0)
        wfi
        li a0, 7
`);
  assert.is(hart.reg(A0), 7);
  const { m, at } = machine("wait: li t0, 0x800\ncsrw mie, t0\nwfi\nback: li a0, 9\nj .");
  assert.is(m.run(1000), "idle");
  assert.is(m.hart.pc, at("back"));
  m.plic.setLevel(3, true);
  m.bus.write(0xc00000c, 4, 1);
  m.bus.write(0xc002000, 4, 8);
  m.run(10);
  assert.is(m.hart.reg(A0), 9);
});

test("the finisher ends with a status, and its reset starts again", () => {
  assert.equal(run("nop").m.halted, { code: 0 });
  const { m } = machine("li t0, 0x100000\nli t1, 0x2a3333\nsw t1, 0(t0)\nj .");
  assert.is(m.run(100), "halted");
  assert.equal(m.halted, { code: 42 });
  const again = machine("li t0, 0x100000\nli t1, 0x7777\nsw t1, 0(t0)\nj .").m;
  again.hart.setReg(T0, 99);
  assert.is(again.run(500), "budget");
  assert.ok(again.hart.instret > 400);
});

test("the hart starts with its number in a0 and the device tree in a1", () => {
  const { m } = machine("j .");
  assert.is(m.hart.reg(10), 0);
  assert.is(m.hart.reg(11), m.fdtPa);
  assert.is(m.bus.read(m.fdtPa, 4), 0xedfe0dd0);
});

test.run();
