// ddb's commands: each asks kernel/ddb and prints. A wrong argument is one line; nothing is lost by it.
import { backtrace, ps } from "../../kernel/ddb/ps.ts";
import { locks } from "../../kernel/ddb/locks.ts";
import { maps } from "../../kernel/ddb/maps.ts";
import { page } from "../../kernel/ddb/page.ts";
import { entries, memRuns, pagewalk } from "../../kernel/ddb/pagetable.ts";
import { type Counters, engine, vmstat } from "../../kernel/ddb/vmstat.ts";
import type { Process } from "../../kernel/kern/proc.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { vmcheck } from "../../kernel/uvm/check.ts";

/** What the user typed cannot be done; the message is one line. */
export class DdbError extends Error {}

interface Command {
  readonly name: string;
  readonly args: string;
  readonly help: string;
  run(kernel: Kernel, args: readonly string[]): string[];
}

const hex = (n: number, width = 0): string => (n < 0 ? BigInt.asUintN(64, BigInt(n)) : BigInt(n)).toString(16).padStart(width, "0");

/** Columns, the first row as the head. */
function columns(rows: readonly (readonly (string | number)[])[]): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((r) => String(r[i]).length)));
  return rows.map((r) => r.map((cell, i) => (typeof cell === "number" ? String(cell).padStart(widths[i]!) : cell.padEnd(widths[i]!))).join("  ").trimEnd());
}

function processOf(kernel: Kernel, word: string | undefined): Process {
  if (word === undefined || !/^\d+$/.test(word)) throw new DdbError(`give a process number; \`ps\` lists them`);
  const p = kernel.kern.procs.get(Number(word));
  if (p === undefined) throw new DdbError(`there is no process ${word}; \`ps\` lists them`);
  return p;
}

function address(word: string | undefined): number {
  if (word === undefined || !/^(0x)?[0-9a-f]{1,16}$/i.test(word)) throw new DdbError(`${word ?? "nothing"}: give an address in hexadecimal`);
  return Number(BigInt.asIntN(64, BigInt(`0x${word.replace(/^0x/i, "")}`)));
}

function counters(all: Counters): string[] {
  const rows = Object.entries(all).filter(([, v]) => typeof v === "number").map(([name, v]) => `${name.padEnd(16)}${String(v).padStart(12)}`), half = Math.ceil(rows.length / 2);
  return rows.slice(0, half).map((left, i) => `${left}    ${rows[half + i] ?? ""}`.trimEnd());
}

/** The page table as the xv6 lab prints it. */
function vmprint(kernel: Kernel, p: Process): string[] {
  const { pmap } = p.vmspace.map;
  return [`page table 0x${hex(0x80000000 + pmap.rootPg * 4096)}`, ...entries(kernel, pmap, "user").map((e) => {
    const pte = (BigInt(e.pteHi >>> 0) << 32n) | BigInt(e.pteLo >>> 0);
    return `${" ..".repeat(3 - e.level)}${e.index}: pte 0x${pte.toString(16).padStart(16, "0")} pa 0x${hex(e.pa, 16)}`;
  })];
}

const COMMANDS: readonly Command[] = [
  { name: "ps", args: "", help: "processes and threads, and what they wait for",
    run: (k) => columns([["pid", "tid", "ppid", "state", "wait", "cpu ms", "command"], ...ps(k).map((t) => [t.pid, t.tid, t.ppid, t.state, t.wait, Math.round(t.cpuNs / 1e6), t.command])]) },
  { name: "maps", args: "PID", help: "the entries of a process' map",
    run: (k, [pid]) => columns([["start", "end", "prot", "max", "how", "inherit", "wired", "resident", "amap", "object"], ...maps(k, processOf(k, pid)).map((e) => [
      hex(e.start, 10), hex(e.end, 10), e.prot, e.maxProt, `${e.isCopyOnWrite ? "cow" : "shared"}${e.needsCopy ? ",needs-copy" : ""}`, e.inheritance, e.wiredCount, e.residentPages,
      e.amap === null ? "-" : `${e.amap.refs} refs, slot ${e.amap.slot} of ${e.amap.slots}`, e.object === null ? "-" : `${e.path ?? e.object}+${hex(e.offset)}`])]) },
  { name: "pagewalk", args: "PID ADDRESS", help: "how the page table translates an address, level by level",
    run: (k, [pid, va]) => {
      const r = pagewalk(k, processOf(k, pid).vmspace.map.pmap, address(va));
      const steps = r.steps.map((s) => `level ${s.level}: pte at 0x${hex(s.ptePa)} = ${hex(s.pteHi >>> 0, 8)}${hex(s.pteLo >>> 0, 8)} ${s.bits} -> frame 0x${hex(s.pfn)}`);
      return [...steps, r.pa === null ? `no translation: ${r.problem}` : `pa 0x${hex(r.pa)}`];
    } },
  { name: "page", args: "PA | PID ADDRESS", help: "everything about one page of memory",
    run: (k, [a, b]) => {
      const pa = b === undefined ? address(a) : pagewalk(k, processOf(k, a).vmspace.map.pmap, address(b)).pa;
      if (pa === null) throw new DdbError(`${b} is not mapped there; \`pagewalk\` says why`);
      const p = page(k, pa);
      if (p === null) throw new DdbError(`0x${hex(pa)} is no page that the kernel manages`);
      return [`page 0x${hex(p.pa)}  flags ${p.flags.join(",") || "none"}  queue ${p.queue}`, `owner ${p.owner} at offset 0x${hex(p.offset)}  wired ${p.wireCount}  loaned ${p.loanCount}` +
        `${p.busyBy === null ? "" : `  busy by ${p.busyBy}`}`, ...p.mappings.map((m) => `mapped by ${m.pid === null ? "the kernel" : `pid ${m.pid}`} at 0x${hex(m.va)}`)];
    } },
  { name: "vmprint", args: "PID", help: "the page table as the xv6 lab prints it", run: (k, [pid]) => vmprint(k, processOf(k, pid)) },
  { name: "mem", args: "PID", help: "mapped runs as QEMU's `info mem` prints them",
    run: (k, [pid]) => ["vaddr            paddr            size             attr", "---------------- ---------------- ---------------- -------",
      ...memRuns(k, processOf(k, pid).vmspace.map.pmap).map((r) => `${hex(r.va, 16)} ${hex(r.pa, 16)} ${hex(r.size, 16)} ${r.attr}`)] },
  { name: "tlb", args: "", help: "what the TLB holds",
    run: (k) => columns([["kind", "va", "pa", "asid", "priv", "level", "rights"], ...k.machine.tlbEntries().map((e) =>
      [e.kind, hex(e.va, 10), hex(e.pa, 8), e.asid, e.priv, e.level, `${e.read ? "r" : "-"}${e.write ? "w" : "-"}${e.global ? "g" : "-"}`])]) },
  { name: "vmstat", args: "", help: "counters of the virtual memory", run: (k) => counters(vmstat(k)) },
  { name: "engine", args: "", help: "counters of the translator", run: (k) => (k.machine.hart.engine === null ? ["everything is interpreted"] : counters(engine(k))) },
  { name: "locks", args: "", help: "who holds which lock", run: (k) => {
    const held = locks(k);
    return held.length === 0 ? ["no lock is held"] : columns([["lock", "kind", "holder"], ...held.map((l) => [l.lock, l.kind, l.holder])]);
  } },
  { name: "backtrace", args: "PID", help: "where a process' threads are",
    run: (k, [pid]) => processOf(k, pid).threads.flatMap((t) => [`thread ${t.tid}`, ...backtrace(k, t).map((f) =>
      `  ${f.where} ${f.what}${f.pc === null ? "" : ` 0x${hex(f.pc)}`}${f.fp === null ? "" : ` (sp 0x${hex(f.fp)})`}`)]) },
  { name: "check", args: "", help: "checks every invariant of the virtual memory", run: (k) => {
    const wrong = vmcheck(k.uvm);
    return wrong.length === 0 ? ["every invariant holds"] : wrong;
  } },
];

/** Runs one line. => what to print; throws DdbError for what cannot be done */
export function ddbCommand(kernel: Kernel, line: string): string[] {
  const [word = "", ...args] = line.trim().split(/\s+/);
  if (word === "help" || word === "?") {
    return [...columns(COMMANDS.map((c) => [`${c.name} ${c.args}`, c.help])), "continue, or Ctrl-A c: back to the guest    quit: ends the machine"];
  }
  const found = COMMANDS.filter((c) => c.name === word), near = found.length > 0 ? found : COMMANDS.filter((c) => c.name.startsWith(word));
  if (near.length !== 1) throw new DdbError(`${word} is ${near.length === 0 ? "no command" : `short for ${near.map((c) => c.name).join(" and ")}`}; \`help\` lists them`);
  return near[0]!.run(kernel, args);
}

/** What a kernel bug leaves for who has no terminal: the panic, processes, locks, counters, as far as they can still be read. */
export function panicReport(kernel: Kernel): string {
  const answer = (c: string): string[] => {
    try {
      return ddbCommand(kernel, c);
    } catch (e) {
      return [`cannot be told: ${(e as Error).message}`];
    }
  };
  const parts = ["ps", "locks", "vmstat"].flatMap((c) => [`--- ${c}`, ...answer(c)]);
  return `panic: ${kernel.panicked?.message ?? "?"}\n${kernel.panicked?.stack ?? ""}\n${parts.join("\n")}\n`;
}
