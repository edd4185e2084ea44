// Disks as files, folders that are shown read-only, and traces by kind.
import { spawnSync } from "node:child_process";
import { runGuest } from "../helpers/guest.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("devices");

function loanword(...args: string[]): { status: number | null; out: string; err: string } {
  const r = spawnSync(process.execPath, ["build/tools/cli.main.mjs", ...args], { encoding: "latin1", timeout: 60_000, input: "" });
  return { status: r.status, out: r.stdout, err: r.stderr };
}

test("a disk's bytes are read at any place, and its end is its size", () => {
  const magic = runGuest("dd if=/dev/vda bs=1 skip=1080 count=2 2>/dev/null | od -t x1 | head -n 1");
  assert.match(magic.out, /53 ef/);
  // Not aligned, and over several blocks: the same bytes as in pieces.
  const r = runGuest("dd if=/dev/vda bs=10007 skip=1 count=3 2>/dev/null > /tmp/a; dd if=/dev/vda bs=1 skip=10007 count=30021 2>/dev/null | cmp - /tmp/a && wc -c < /tmp/a");
  assert.is(r.out.trim(), "30021", r.err);
  const whole = runGuest("cat /dev/vda | wc -c");
  assert.is(Number(whole.out.trim()), 16 << 20);
});

test("a mounted disk is not written, and one that does not exist is not opened", () => {
  const r = runGuest("echo x > /dev/vda; echo $?; mount | head -n 1");
  assert.match(r.err, /busy/i);
  assert.match(r.out, /^[12]\n/);
});

test("a host folder is shown read-only", () => {
  const r = loanword("boot", "--clock", "virtual", "--dir", "guest/etc:/shown/etc", "-c", "ls /shown/etc | head -n 2; echo x > /shown/etc/new; rm /shown/etc/passwd; mount | grep shown");
  assert.match(r.err, /read-only/i);
  assert.match(r.out, /\/shown\/etc .*\bro\b/, r.out + r.err);
  assert.is(loanword("boot", "--dir", "guest/etc:/", "-c", "true").status, 2);
  assert.is(loanword("boot", "--dir", "guest/etc:/../x", "-c", "true").status, 2);
});

test("traces are of the kinds that were asked for", () => {
  const only = (kinds: string): string => loanword("boot", "--clock", "virtual", "--trace", kinds, "-c", "true; kill -9 $$").err;
  assert.match(only("exec"), /^\[\d+\] exec \/sbin\/init\n/);
  assert.is(/syscall|fault|signal/.test(only("exec")), false);
  assert.match(only("syscall"), /init: .*wait4\(/);
  assert.match(only("fault"), /: (read|write|fetch) fault at 0x[0-9a-f]+ pc 0x/);
  assert.match(only("signal,exit"), /signal 9[^]*exit status/);
  const wrong = loanword("boot", "--trace", "syscall,nonsense", "-c", "true");
  assert.is(wrong.status, 2);
  assert.match(wrong.err, /no kind "nonsense"; use all, or some of syscall/);
});

test.run();
