// ddb's commands about virtual memory: maps, objects, amaps, anons, pages, page tables.
import type { TlbEntry } from "../../emu/machine.ts";
import { amap, anon, entryAt } from "../../kernel/ddb/anon.ts";
import { type MapLine, maps } from "../../kernel/ddb/maps.ts";
import { idOfObject, object, type ObjectLine, objects } from "../../kernel/ddb/objects.ts";
import { page } from "../../kernel/ddb/page.ts";
import { entries, memRuns, pagewalk } from "../../kernel/ddb/pagetable.ts";
import { vmstat } from "../../kernel/ddb/vmstat.ts";
import type { Process } from "../../kernel/kern/proc.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { vmcheck } from "../../kernel/uvm/check.ts";
import { address, columns, type Command, type Context, counters, DdbError, hex, plural, processOf } from "./format.ts";

const PAGES_SHOWN = 40;

const attributes = (e: MapLine): string => `${e.isCopyOnWrite ? "cow" : "shared"}${e.needsCopy ? ",needs-copy" : ""}`;

/** What a hit in the TLB allows: an entry of the fetch side is there to be executed, one of the data side never is. */
const rightsOf = (e: TlbEntry): string => `${e.read ? "r" : "-"}${e.write ? "w" : "-"}${e.kind === "fetch" ? "x" : "-"}${e.global ? "g" : "-"}`;

function mapsTable({ kernel }: Context, [pid]: readonly string[]): string[] {
  return columns([["start", "end", "prot", "max", "how", "inherit", "wired", "resident", "amap", "object"], ...maps(kernel, processOf(kernel, pid)).map((e) => [
    hex(e.start, 10), hex(e.end, 10), e.prot, e.maxProt, attributes(e), e.inheritance, e.wiredCount, e.residentPages,
    e.amap === null ? "-" : `${plural(e.amap.refs, "ref")}, slot ${e.amap.slot} of ${e.amap.slots}`, e.object === null ? e.area || "-" : `${e.path ?? e.object}+${hex(e.offset)}`])]);
}

/** The map with what hangs below each entry. */
function mapTree(kernel: Kernel, p: Process): string[] {
  const { map } = p.vmspace, all = maps(kernel, p), resident = all.reduce((n, e) => n + e.residentPages, 0), { lock } = map;
  const locked = lock.writer !== null ? `locked by ${lock.writer.name}` : lock.readers > 0 ? `${plural(lock.readers, "reader")}` : "not locked";
  const lines = [`map of pid ${p.pid} (${p.comm}): ${all.length} entries, ${map.size / 1024} KiB, ${plural(resident, "page")} resident, ${locked}, timestamp ${map.timestamp}, ` +
    `${plural(p.vmspace.refs, "reference")}`];
  all.forEach((e, i) => {
    const isLast = i === all.length - 1, below: string[] = [];
    lines.push(`${isLast ? "`" : "|"}- ${hex(e.start, 10)}-${hex(e.end, 10)} ${e.prot} max ${e.maxProt} ${attributes(e)} inherit ${e.inheritance}` +
      `${e.wiredCount > 0 ? ` wired ${e.wiredCount}` : ""} ${e.residentPages} of ${(e.end - e.start) / 4096} resident${e.area === "" ? "" : ` ${e.area}`}`);
    if (e.amap !== null) {
      below.push(`amap: ${plural(e.amap.refs, "ref")}${e.amap.isShared ? ", shared" : ""}, slots ${e.amap.slot}.. of ${e.amap.slots}, ${plural(e.amap.used, "anon")} here`);
    }
    if (e.object !== null) {
      below.push(`object ${e.objectId ?? e.object}${e.path === null ? "" : ` ${e.path}`} + 0x${hex(e.offset)}: ${plural(e.objectRefs, "ref")}, ${plural(e.objectPages, "page")} resident`);
    }
    below.forEach((text, n) => lines.push(`${isLast ? " " : "|"}  ${n === below.length - 1 ? "`" : "|"}- ${text}`));
  });
  return lines;
}

const OBJECT_HEAD = ["id", "kind", "refs", "resident", "bytes", "lock", "file"];
const objectRow = (o: ObjectLine): (string | number)[] =>
  [o.id, o.isExec ? `${o.kind},exec` : o.kind, o.refs, o.residentPages, o.sizeBytes ?? "-", o.lockedBy ?? "free", o.path ?? "-"];

/** The object that a word names: by itself, or as the owner of a page. */
function objectId({ kernel }: Context, args: readonly string[]): string {
  const [a = "", b] = args;
  if (b === undefined && objects(kernel).some((o) => o.id === a)) return a;
  const byPath = objects(kernel).find((o) => o.path !== null && o.path === a);
  if (byPath !== undefined) return byPath.id;
  if (b !== undefined) {
    const o = entryAt(processOf(kernel, a), address(b))?.object ?? null;
    if (o === null) throw new DdbError(`no object is mapped at ${b} of process ${a}; \`show map ${a}\` shows what is`);
    return idOfObject(kernel, o) ?? "?";
  }
  const p = /^(0x)?[0-9a-f]{1,16}$/i.test(a) ? page(kernel, address(a)) : null;
  if (p === null) throw new DdbError(`${a || "nothing"}: give the name of an object, a path, the physical address of a page of it, or PID ADDRESS; \`objects\` lists them`);
  if (!objects(kernel).some((o) => o.id === p.owner)) throw new DdbError(`the page at ${a} belongs to ${p.owner === "none" ? "no object" : p.owner}`);
  return p.owner;
}

function objectReport(c: Context, args: readonly string[]): string[] {
  const o = object(c.kernel, objectId(c, args));
  if (o === null) throw new DdbError(`there is no object ${args.join(" ")}; \`objects\` lists them`);
  const rows = o.pages.slice(0, PAGES_SHOWN).map((p) =>
    [hex(p.offset), hex(p.pa), `${p.isDirty ? "dirty" : "clean"}${p.isBusy ? ",busy" : ""}${p.wireCount > 0 ? `,wired ${p.wireCount}` : ""}${p.loanCount > 0 ? `,loaned ${p.loanCount}` : ""}`]);
  return [
    ...columns([OBJECT_HEAD, objectRow(o.line)]), ...o.mappedBy.map((m) => `mapped by pid ${m.pid} at ${hex(m.start)}-${hex(m.end)} from offset ${hex(m.offset)}`),
    ...(rows.length === 0 ? ["no page is resident"] : columns([["offset", "pa", "state"], ...rows])),
    ...(o.pages.length > PAGES_SHOWN ? [`and ${o.pages.length - PAGES_SHOWN} pages more`] : []),
  ];
}

function amapReport({ kernel }: Context, [pid, at]: readonly string[]): string[] {
  const p = processOf(kernel, pid), e = entryAt(p, address(at));
  if (e === null) throw new DdbError(`nothing is mapped at ${at} of process ${pid}; \`maps ${pid}\` shows what is`);
  const a = amap(kernel, e);
  if (a === null) throw new DdbError(`the entry at ${hex(e.start)} has no amap: nothing of it was written`);
  const rows = a.anons.map((n) => [n.slot, hex(n.va), n.anon, n.refs, n.covers, n.pa === null ? "not resident" : hex(n.pa), n.loanCount]);
  return [`amap of ${hex(e.start)}-${hex(e.end)}: ${plural(a.refs, "ref")}${a.isShared ? ", shared" : ""}, ${a.used} of ${a.slots} slots in use, ` +
    `${a.lockedBy === null ? "not locked" : `locked by ${a.lockedBy}`}; the entry has slots ${a.from} to ${a.to - 1}`,
    ...(rows.length === 0 ? ["no slot of the entry is in use"] : columns([["slot", "va", "anon", "refs", "covers", "page", "loans"], ...rows]))];
}

function anonReport({ kernel }: Context, [a, b]: readonly string[]): string[] {
  let an = a !== undefined && /^\d+$/.test(a) ? Number(a) : 0;
  if (b !== undefined) {
    const va = address(b), e = entryAt(processOf(kernel, a), va);
    an = e?.amap?.anons[e.slotOf(Math.floor(va / 4096) * 4096)] ?? 0;
    if (an === 0) throw new DdbError(`no anon is behind ${b} of process ${a}`);
  }
  const r = anon(kernel, an);
  if (r === null) throw new DdbError(`${a ?? "nothing"}: there is no such anon; give its number, or PID ADDRESS`);
  return [`anon ${r.anon}  ${plural(r.refs, "ref")}  ${r.pa === null ? "no page" : `page 0x${hex(r.pa)}${r.isBorrowed ? " borrowed from its owner" : ""}`}  ` +
    `loaned ${r.loanCount}  swap ${r.swapSlot === 0 ? "none" : r.swapSlot < 0 ? "lost" : `slot ${r.swapSlot}`}  ${r.lockedBy === null ? "not locked" : `locked by ${r.lockedBy}`}`];
}

function pageReport({ kernel }: Context, [a, b]: readonly string[]): string[] {
  const pa = b === undefined ? address(a) : pagewalk(kernel, processOf(kernel, a).vmspace.map.pmap, address(b)).pa;
  if (pa === null) throw new DdbError(`${b} is not mapped there; \`pagewalk\` says why`);
  const p = page(kernel, pa);
  if (p === null) throw new DdbError(`0x${hex(pa)} is no page that the kernel manages`);
  return [
    `page 0x${hex(p.pa)}  flags ${p.flags.join(",") || "none"}  queue ${p.queue}  ${p.isModified ? "dirty" : "not dirty"}  ${p.isReferenced ? "referenced" : "not referenced"}`,
    `owner ${p.owner} at offset 0x${hex(p.offset)}  wired ${p.wireCount}  loaned ${p.loanCount}${p.loanCount > 0 ? `, ${p.kernelLoans} to the kernel` : ""}` +
      `${p.busyBy === null ? "" : `  busy by ${p.busyBy} at ${p.busyTag}`}`,
    ...p.mappings.map((m) => `mapped by ${m.pid === null ? "the kernel" : `pid ${m.pid}`} at 0x${hex(m.va)}  ${m.isWritable ? "rw" : "r"}  A ${m.isReferenced ? 1 : 0} D ${m.isModified ? 1 : 0}`),
  ];
}

function walkReport({ kernel }: Context, [pid, va]: readonly string[]): string[] {
  const r = pagewalk(kernel, processOf(kernel, pid).vmspace.map.pmap, address(va));
  const steps = r.steps.map((s) => `level ${s.level}: pte at 0x${hex(s.ptePa)} = ${hex(s.pteHi >>> 0, 8)}${hex(s.pteLo >>> 0, 8)} ${s.bits} -> frame 0x${hex(s.pfn)}`);
  return [...steps, r.pa === null ? `no translation: ${r.problem}` : `pa 0x${hex(r.pa)}`];
}

/** The page table as the xv6 lab prints it. */
function vmprint(kernel: Kernel, p: Process): string[] {
  const { pmap } = p.vmspace.map;
  return [`page table 0x${hex(0x80000000 + pmap.rootPg * 4096)}`, ...entries(kernel, pmap, "user").map((e) => {
    const pte = (BigInt(e.pteHi >>> 0) << 32n) | BigInt(e.pteLo >>> 0);
    return `${" ..".repeat(3 - e.level)}${e.index}: pte 0x${pte.toString(16).padStart(16, "0")} pa 0x${hex(e.pa, 16)}`;
  })];
}

function show(c: Context, [what, ...args]: readonly string[]): string[] {
  if (what !== "map") throw new DdbError(`show ${what ?? ""}: there is \`show map PID\``);
  return mapTree(c.kernel, processOf(c.kernel, args[0]));
}

export const MEMORY_COMMANDS: readonly Command[] = [
  { name: "maps", args: "PID", help: "the entries of a process' map", run: mapsTable },
  { name: "show", args: "map PID", help: "the map as a tree: entries, and the amap and object of each", run: show },
  { name: "objects", args: "", help: "every memory object", run: ({ kernel }) => columns([OBJECT_HEAD, ...objects(kernel).map(objectRow)]) },
  { name: "object", args: "ID | PATH | PA | PID ADDRESS", help: "one object: its pages, and who maps it", run: objectReport },
  { name: "amap", args: "PID ADDRESS", help: "the amap behind an address, slot by slot", run: amapReport },
  { name: "anon", args: "N | PID ADDRESS", help: "one page of anonymous memory", run: anonReport },
  { name: "page", args: "PA | PID ADDRESS", help: "everything about one page of memory", run: pageReport },
  { name: "pagewalk", args: "PID ADDRESS", help: "how the page table translates an address, level by level", run: walkReport },
  { name: "vmprint", args: "PID", help: "the page table as the xv6 lab prints it", run: ({ kernel }, [pid]) => vmprint(kernel, processOf(kernel, pid)) },
  { name: "mem", args: "PID", help: "mapped runs as QEMU's `info mem` prints them",
    run: ({ kernel }, [pid]) => ["vaddr            paddr            size             attr", "---------------- ---------------- ---------------- -------",
      ...memRuns(kernel, processOf(kernel, pid).vmspace.map.pmap).map((r) => `${hex(r.va, 16)} ${hex(r.pa, 16)} ${hex(r.size, 16)} ${r.attr}`)] },
  { name: "tlb", args: "", help: "what the TLB holds",
    run: ({ kernel }) => columns([["kind", "va", "pa", "asid", "priv", "level", "rights"], ...kernel.machine.tlbEntries().map((e) =>
      [e.kind, hex(e.va, 10), hex(e.pa, 8), e.asid, e.priv, e.level, rightsOf(e)])]) },
  { name: "vmstat", args: "", help: "counters of the virtual memory", run: ({ kernel }) => counters(vmstat(kernel)) },
  { name: "check", args: "", help: "checks every invariant of the virtual memory", run: ({ kernel }) => {
    const wrong = vmcheck(kernel.uvm);
    return wrong.length === 0 ? ["every invariant holds"] : wrong;
  } },
];
