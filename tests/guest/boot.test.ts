// The whole from end to end: the machine, the kernel, the root disk, the shell and its utilities.
import { vmcheck } from "../../kernel/uvm/check.ts";
import { runGuest } from "../helpers/guest.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("boot");

const says = (command: string, out: string, status = 0): void => {
  const r = runGuest(command);
  assert.is(r.out, out, `${command}: ${r.err}`);
  assert.is(r.status, status, command);
};

test("a command runs, prints, and its status is ours", () => says("echo hello; exit 7", "hello\n", 7));
test("standard error is a stream of its own", () => {
  const r = runGuest("echo out; echo err >&2");
  assert.is(r.out, "out\n");
  assert.is(r.err, "err\n");
});
test("standard input comes from the host and ends", () => {
  const r = runGuest("wc -c; echo done", { stdin: "x".repeat(100_000) });
  assert.match(r.out, /100000\ndone/);
});
test("pipelines", () => says("seq 1000 | grep 7 | sort -rn | head -n 3 | tr '\\n' ,", "997,987,979,"));
test("a death by signal is 128 and its number", () => says("sh -c 'kill -TERM $$'; echo $?", "143\n"));
test("files on ext2 keep what was written", () => says("cd /root; seq 5000 > a; cp a b; cmp a b && wc -l < b; mv b c; ln a d; rm a; ls", "5000\nc\nd\n"));
test("files in memory", () => says("cd /tmp; mkdir -p x/y; echo hi > x/y/z; cat x/y/z; rm -r x; ls", "hi\n"));
test("mount's options are the kernel's flags, and a remount changes them", () => says(
  "cd /tmp; mkdir m; mount -t tmpfs -o nosuid,noatime none m; grep /tmp/m /proc/mounts; mount -o remount,ro,sync,noexec none m; grep /tmp/m /proc/mounts; touch m/x 2>&1",
  "none /tmp/m tmpfs rw,nosuid,noatime 0 0\nnone /tmp/m tmpfs ro,sync,noexec,noatime 0 0\ntouch: m/x: Read-only file system\n", 1));
test("here-documents, loops and functions", () => says("f() { cat <<X\n$1\nX\n}; for i in a b; do f $i; done", "a\nb\n"));
test("jobs in the background are waited for", () => says("sleep 1 & sleep 2 & wait; echo over", "over\n"));
test("the same run twice is the same to the instruction", () => {
  const once = runGuest("ls -l /bin | sort | head -n 5; head -c 16 /dev/urandom | od -x"), again = runGuest("ls -l /bin | sort | head -n 5; head -c 16 /dev/urandom | od -x");
  assert.is(once.out, again.out);
  assert.is(once.insns, again.insns);
});
test("the virtual memory is whole at the end", () => {
  const { kernel } = runGuest("seq 2000 | sort -n | tail -n 1; cat /proc/self/maps > /dev/null");
  assert.equal(vmcheck(kernel.uvm), []);
});

for (const ad of ["svade", "svadu"] as const) {
  for (const tlb of ["normal", "tiny", "hostile"] as const) {
    test(`a shell with ${ad} and a ${tlb} TLB`, () => {
      const r = runGuest("for i in 1 2 3; do echo $i | cat; done; ls / | wc -l", { machine: { ad, tlb } });
      assert.match(r.out, /^1\n2\n3\n\d+\n$/);
      assert.equal(vmcheck(r.kernel.uvm), []);
    });
  }
}

test("legacy virtio", () => {
  const r = runGuest("ls /etc | head -n 2", { machine: { virtio: "legacy" } });
  assert.is(r.out, "group\nhostname\n");
});

test.run();
