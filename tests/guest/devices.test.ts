// Disks as files, folders that are shown read-only, and traces by kind.
import { spawnSync } from "node:child_process";
import { MemoryBackend, OverlayBackend } from "../../emu/dev/backend.ts";
import { checkExt2 } from "../../tools/ext2check.ts";
import { makeExt2 } from "../../tools/mkext2.ts";
import { type GuestRun, rootImage, runGuest } from "../helpers/guest.ts";
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

test("a running program cannot be written to, and one that is being written does not run", () => {
  const r = runGuest("cp /bin/sleep /tmp/s; chmod 755 /tmp/s; /tmp/s 1 & sleep 0.3; echo x >> /tmp/s; echo wrote $?; wait; echo x >> /tmp/s; echo wrote $?; " +
    "exec 3>>/tmp/s; /tmp/s 0; echo ran $?; exec 3>&-; /tmp/s 0; echo ran $?");
  assert.match(r.out, /^wrote [12]\nwrote 0\nran 126\nran 0\n$/);
  assert.is((r.err.match(/[Tt]ext file busy/g) ?? []).length, 2, r.err);
});

/** A run with a second disk, which has an empty file system. */
function withDisk(command: string): GuestRun & { disk: Uint8Array } {
  const disk = makeExt2({ sizeBytes: 2 << 20, inodes: 128, label: "", uuid: new Uint8Array(16), timeSec: 1_700_000_000 });
  const root = new OverlayBackend(new MemoryBackend(rootImage(), { readOnly: true }));
  return { ...runGuest(command, { machine: { drives: [root, new MemoryBackend(disk)] } }), disk };
}

test("two descriptors of one disk see each other's writes, and lose none", () => {
  const r = withDisk("exec 3<>/dev/vdb; exec 4<>/dev/vdb; dd bs=100 count=1 <&4 >/dev/null 2>&1; echo AAAA >&3; echo BBBB >&4; exec 3>&-; exec 4>&-");
  assert.is(Buffer.from(r.disk.subarray(0, 5)).toString(), "AAAA\n", r.err);
  assert.is(Buffer.from(r.disk.subarray(100, 105)).toString(), "BBBB\n");
});

test("a disk that was opened before it was mounted is not written while it is", () => {
  const r = withDisk("exec 3<>/dev/vdb; dd bs=512 count=1 <&3 >/dev/null 2>&1; mkdir /tmp/m; mount -t ext2 /dev/vdb /tmp/m; " +
    "echo f > /tmp/m/f; echo NO >&3; cat /tmp/m/f; umount /tmp/m; echo YES >&3; exec 3>&-");
  assert.match(r.out + r.err, /busy/i);
  assert.is(Buffer.from(r.disk.subarray(512, 516)).toString(), "YES\n", r.out + r.err);
  // What was read before the mount did not overwrite what the file system wrote.
  assert.equal(checkExt2(r.disk), []);
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
