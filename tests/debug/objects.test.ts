// ddb about memory: objects, amaps, anons, the map as a tree, dirty pages, and locks with who waits for them.
import { entryAt } from "../../kernel/ddb/anon.ts";
import { locks } from "../../kernel/ddb/locks.ts";
import { maps } from "../../kernel/ddb/maps.ts";
import { objects } from "../../kernel/ddb/objects.ts";
import { page } from "../../kernel/ddb/page.ts";
import { ps } from "../../kernel/ddb/ps.ts";
import { KThread, type Sleep } from "../../kernel/lib/kthread.ts";
import { Ddb, DdbError } from "../../tools/ddb/commands.ts";
import { atRest } from "../helpers/sleepers.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("ddb objects"), kernel = atRest(["/sbin/init", "-c", "cat; true"]), ddb = new Ddb(kernel);
const pid = ps(kernel).find((t) => t.command === "cat")!.pid, proc = kernel.kern.procs.get(pid)!;
const text = (line: string): string => ddb.command(line).join("\n"), hex = (n: number): string => n.toString(16);

test("objects lists files and anonymous memory, and counts every page that belongs to an object", () => {
  const all = objects(kernel), cat = all.find((o) => o.path === "/bin/cat")!;
  assert.match(cat.id, /^vnode\d+:\d+$/);
  assert.is(cat.kind, "vnode");
  assert.ok(cat.isExec && cat.refs > 0 && cat.residentPages > 0 && cat.sizeBytes! > 4096);
  const owned = kernel.uvm.pages.uobject.filter((o, pg) => o && pg < kernel.uvm.pages.nframes).length;
  assert.is(all.reduce((n, o) => n + o.residentPages, 0), owned);
  assert.is(new Set(all.map((o) => o.id)).size, all.length, "names are different");
  assert.match(text("objects"), new RegExp(`^${cat.id} +vnode,exec +\\d+ +${cat.residentPages} +${cat.sizeBytes} +free +/bin/cat$`, "m"));
});

test("an object is found by its name, a path, a page of it, and an address", () => {
  const cat = objects(kernel).find((o) => o.path === "/bin/cat")!, report = text(`object ${cat.id}`);
  const line = maps(kernel, proc).find((l) => l.path === "/bin/cat" && l.residentPages > 0)!, pa = /\n[0-9a-f]+ +([0-9a-f]{8}) +clean/.exec(report)![1]!;
  assert.match(report, new RegExp(`mapped by pid ${pid} at ${hex(line.start)}-${hex(line.end)} from offset ${hex(line.offset)}`));
  for (const name of ["/bin/cat", pa, `${pid} ${hex(line.start)}`]) assert.is(text(`object ${name}`), report, name);
});

test("an amap shows its slots, and each slot's anon and page agree", () => {
  const e = maps(kernel, proc).find((l) => l.area === "[stack]")!, sp = proc.mainThread.x[4]! >>> 0 | 0;
  assert.ok(e.amap !== null && e.amap.used > 0 && sp !== 0);
  const rows = ddb.command(`amap ${pid} ${hex(e.end - 4096)}`), top = rows.at(-1)!.trim().split(/ {2,}/);
  assert.match(rows[0]!, /^amap of .*: 1 ref, \d+ of \d+ slots in use, not locked; the entry has slots/);
  const [, va, number, refs, covers, pa] = top;
  assert.equal([va, refs, covers], [hex(e.end - 4096), "1", "1"]);
  assert.match(text(`anon ${number}`), new RegExp(`^anon ${number}  1 ref  page 0x${pa}  loaned 0  swap none  not locked$`));
  assert.is(text(`anon ${pid} ${va}`), text(`anon ${number}`));
  assert.is(page(kernel, parseInt(pa!, 16))!.owner, `anon ${number}`);
});

test("a page of the stack is dirty and referenced, one of the program is not dirty", () => {
  const stack = maps(kernel, proc).find((l) => l.area === "[stack]")!, code = maps(kernel, proc).find((l) => l.prot === "r-x" && l.residentPages > 0)!;
  assert.match(text(`page ${pid} ${hex(stack.end - 4096)}`), /queue \w+  dirty  referenced\nowner anon \d+ .* loaned 0\n.*mapped by pid \d+ at 0x[0-9a-f]+  rw  A 1 D 1/);
  const e = entryAt(proc, code.start)!, va = Array.from({ length: e.npages }, (_, i) => e.start + i * 4096).find((a) => kernel.uvm.pageAt(proc.vmspace.map.pmap, a) !== 0)!;
  assert.match(text(`page ${pid} ${hex(va)}`), /  not dirty  /);
});

test("a loan and the thread that keeps a page busy are shown", () => {
  const stack = maps(kernel, proc).find((l) => l.area === "[stack]")!, { pages } = kernel.uvm, pg = kernel.uvm.pageAt(proc.vmspace.map.pmap, stack.end - 4096);
  pages.loanCount[pg] = 2;
  pages.busyOwner[pg] = proc.mainThread;
  pages.busyTag[pg] = "test";
  assert.match(text(`page ${pid} ${hex(stack.end - 4096)}`), new RegExp(`loaned 2, 2 to the kernel  busy by pid ${pid} at test`));
  pages.loanCount[pg] = 0;
  pages.busyOwner[pg] = null;
});

test("show map is a tree of entries with amap and object", () => {
  const lines = ddb.command(`show map ${pid}`), all = maps(kernel, proc);
  assert.match(lines[0]!, new RegExp(`^map of pid ${pid} \\(cat\\): ${all.length} entries, \\d+ KiB, \\d+ pages resident, not locked, timestamp \\d+, 1 reference$`));
  assert.is(lines.filter((l) => /^[|`]- /.test(l)).length, all.length);
  assert.is(lines.filter((l) => / - amap|[|`]- amap: /.test(l)).length, all.filter((e) => e.amap !== null).length);
  assert.is(lines.filter((l) => /[|`]- object vnode\d+:\d+ \/bin\/cat \+ 0x/.test(l)).length, all.filter((e) => e.path === "/bin/cat").length);
  assert.match(lines.at(-1)!, /^ {3}`- /, "the last entry's last line closes the tree");
});

test("locks of vnodes and maps are listed with holder and waiters", () => {
  assert.equal(locks(kernel), []);
  const { lock } = kernel.vfs.rootVnode, waiter = new KThread("waiter", true);
  assert.ok(lock.tryWrite());
  kernel.ctx.enterSleep(waiter, lock.read().next().value as Sleep);
  assert.equal(locks(kernel), [{ lock: "vnode lock of /", kind: "exclusive", holder: "boot", waiters: ["waiter"] }].map((l) => ({ ...l, lock: locks(kernel)[0]!.lock })));
  assert.match(text("locks"), /^vnode lock of .* exclusive +boot +waiter$/m);
  lock.unlock();
  assert.equal(locks(kernel), []);
  assert.ok(proc.vmspace.map.lock.tryRead());
  assert.match(text("locks"), new RegExp(`^map of pid ${pid} +shared +1 reader$`, "m"));
  proc.vmspace.map.lock.unlock();
});

test("what is not there is told in a line", () => {
  const wrong: [string, RegExp][] = [
    ["object", /give the name of an object/], ["object nothing", /give the name/], [`object ${pid} 0`, /no object is mapped/], ["anon 999999", /no such anon/],
    [`amap ${pid} 0`, /nothing is mapped/], ["show", /show map PID/], ["show map", /process number/],
  ];
  for (const [line, message] of wrong) assert.throws(() => ddb.command(line), (e: Error) => e instanceof DdbError && message.test(e.message), line);
});

test.run();
