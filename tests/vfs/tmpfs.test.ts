// Holes of files in memory: they read as zeroes, and take memory only where they are mapped, until it is wanted.
import { PGO_CLEANIT, PGO_FREE } from "../../kernel/uvm/object.ts";
import { TmpMount } from "../../kernel/vfs/tmpfs/tmpfs.ts";
import type { Attr, Vnode } from "../../kernel/vfs/vnode.ts";
import { FsBox } from "../helpers/fsbox.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("tmpfs"), PAGE = 4096, MiB = 1 << 20;

/** A file of the root with so many bytes of hole. */
function sparse(bytes: number): { box: FsBox; v: Vnode; pages: () => number } {
  const box = new FsBox({ npages: 1024 });
  assert.is(box.mountRoot(new TmpMount(box.vfs, "tmpfs", 0)), 0);
  box.creat("/f");
  assert.is(box.truncate("/f", bytes), 0);
  const v = box.open("/f");
  return { box, v, pages: () => ((v.getattr() as Attr).blocks * 512) / PAGE };
}

test("a hole larger than memory is read", () => {
  const { box, v, pages } = sparse(64 * MiB);
  assert.is(box.pwrite(v, Uint8Array.of(1, 2, 3), 10 * PAGE + 5), 3);
  let sum = 0;
  for (let at = 0; at < 64 * MiB; at += 16 * PAGE) {
    const got = box.pread(v, at, 16 * PAGE);
    assert.ok(typeof got !== "number" && got.length === 16 * PAGE, `at ${at}`);
    for (const b of got) sum += b;
  }
  assert.equal([sum, pages()], [6, 1]);
});

test("a hole that was mapped is given up when memory is short, what was written is not", () => {
  const { box, v, pages } = sparse(4 * PAGE), { pages: table } = box.uvm;
  assert.is(box.pwrite(v, Uint8Array.of(7), PAGE), 1);
  box.run((function* () {
    for (const access of [0, 2]) {
      const pgs = new Int32Array(1);
      v.uobj.lock.enter();
      assert.is(yield* v.getpages((2 + access / 2) * PAGE, pgs, 1, 0, access, 0, 0), 0);
      table.pageUnbusy(pgs[0]!);
    }
  })());
  assert.is(pages(), 3);
  box.run((function* () {
    v.uobj.lock.enter();
    yield* v.putpages(0, 0, PGO_CLEANIT | PGO_FREE);
  })());
  assert.equal([pages(), [...v.uobj.tree].map(([index]) => index).sort()], [2, [1, 3]]);
  assert.equal([...(box.pread(v, PAGE, 1) as Uint8Array), ...(box.pread(v, 2 * PAGE, 1) as Uint8Array)], [7, 0]);
});

test.run();
