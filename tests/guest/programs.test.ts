// The guest's own tests: programs of guest/tests, which exit with 0 or say what failed.
import { brotliDecompressSync } from "node:zlib";
import { readFileSync } from "node:fs";
import { vmcheck } from "../../kernel/uvm/check.ts";
import { DiskFs } from "../../tools/diskfs.ts";
import { runGuest } from "../helpers/guest.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("guest programs");
const disk = new DiskFs(brotliDecompressSync(readFileSync("guest/image/root.img.br")), { readOnly: true });
const programs = disk.list("/tests").map((e) => e.name).sort();

test("the root disk has the tests", () => assert.ok(programs.length >= 6));

for (const name of programs) {
  for (const [ad, tlb] of [["svade", "normal"], ["svadu", "tiny"], ["svade", "hostile"]] as const) {
    test(`${name} with ${ad} and a ${tlb} TLB`, () => {
      const r = runGuest(`/tests/${name}`, { machine: { ad, tlb }, maxInsns: 2e8 });
      assert.is(r.out + r.err, "");
      assert.is(r.status, 0);
      assert.equal(vmcheck(r.kernel.uvm), []);
    });
  }
}

test("a disk that is full says so and takes no harm", () => {
  const r = runGuest("cd /root; dd if=/dev/zero of=big bs=64k status=none; rm big; echo ok > small; cat small");
  assert.match(r.err, /No space left on device/);
  assert.is(r.out, "ok\n");
});

test("garbage as a program kills only itself", () => {
  const data = Uint8Array.from({ length: 4096 }, (_, i) => (i * 197 + 31) & 255), files = [{ path: "host/junk", mode: 0o100755, data }];
  const r = runGuest("/host/junk; echo $?; echo alive", { files });
  assert.match(r.out, /^[1-9]\d*\nalive\n$/);
});

test.run();
