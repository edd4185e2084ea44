// Writes to regular files: one after the other, and through to the disk where that is asked for.
import { O_APPEND, O_CREAT, O_DSYNC, O_RDWR, type OpenFile } from "../../kernel/kern/file.ts";
import { exclusively } from "../../kernel/kern/vnfile.ts";
import { FILE_CALLS } from "../../kernel/sys/file.ts";
import { MNT_SYNCHRONOUS } from "../../kernel/vfs/mount.ts";
import type { Vnode } from "../../kernel/vfs/vnode.ts";
import { KernBox } from "../helpers/kernbox.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("vnode files"), FALLOCATE = 47;

class Box extends KernBox {
  readonly f: OpenFile;
  fsyncs = 0;

  constructor(flags: number) {
    super();
    const box = this;
    this.f = this.open("/f", flags | O_CREAT | O_RDWR);
    this.v.fsync = function* () {
      box.fsyncs++;
      return 0;
    };
  }

  get v(): Vnode {
    return this.f.vnode!;
  }

  /** Somebody works on the file, and sleeps. => ends it */
  occupy(): () => void {
    const gate = {}, { ctx } = this;
    const other = this.begin(exclusively(this.v, function* () {
      yield* ctx.sleep(gate, "gate");
      return 0;
    }), this.child());
    assert.is(other.sleepsAt, "gate");
    return () => {
      ctx.wakeup(gate);
      this.sched.settle();
    };
  }
}

test("a write waits for one that sleeps, and then appends behind it", () => {
  const box = new Box(O_APPEND), { v, f } = box, end = box.occupy(), w = box.begin(box.writing(f, "tail"));
  assert.is(w.sleepsAt, "vnlock");
  box.run(v.setattr({ size: 100 }));
  end();
  assert.equal([w.result, v.vSize], [4, 104]);
});

test("fallocate and ftruncate wait as well", () => {
  const box = new Box(0), end = box.occupy(), fd = box.me.fds.files.indexOf(box.f);
  const calls = [box.begin(box.syscall(FILE_CALLS, FALLOCATE, box.me.mainThread, fd, 0, 0, 5000)), box.begin(box.f.ops.truncate!(box.f, 9))];
  assert.equal(calls.map((c) => c.sleepsAt), ["vnlock", "vnlock"]);
  end();
  assert.equal([calls.map((c) => c.result), box.v.vSize], [[0, 0], 9]);
});

test("O_DSYNC, O_SYNC's half, and a mount with sync write through", () => {
  const plain = new Box(0), synced = new Box(O_DSYNC);
  assert.equal([plain.write(plain.f, "x"), synced.write(synced.f, "x"), plain.fsyncs, synced.fsyncs], [1, 1, 0, 1]);
  plain.v.mount.flags |= MNT_SYNCHRONOUS;
  assert.equal([plain.write(plain.f, "x"), plain.fsyncs], [1, 1]);
  assert.match(plain.text("/proc/mounts"), /^tmpfs \/ tmpfs rw,sync,relatime 0 0\n/);
});

test.run();
