// Pipes without programs: how much goes in, what is not torn, who waits and who is woken, and what poll says at each edge.
import { Cred } from "../../kernel/kern/cred.ts";
import {
  type OpenFile, O_NONBLOCK, POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM,
} from "../../kernel/kern/file.ts";
import { PIPE_BUF, PIPE_CAPACITY, PIPE_CAPACITY_MAX } from "../../kernel/kern/pipe.ts";
import { EAGAIN, EBUSY, EINTR, EINVAL, ENOMEM, EPERM, EPIPE } from "../../kernel/lib/errno.ts";
import { KernBox } from "../helpers/kernbox.ts";
import { randomOf } from "../helpers/fsbox.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("pipe"), F_SETPIPE_SZ = 1031, F_GETPIPE_SZ = 1032, IN = POLLIN | POLLRDNORM, OUT = POLLOUT | POLLWRNORM;
const box = new KernBox();

function pipe(flags = 0): readonly [OpenFile, OpenFile] {
  return box.pipes.create(flags);
}

const bytes = (n: number, c = "x"): string => c.repeat(n);

test("what is written is read, in order, in whatever pieces", () => {
  const [r, w] = pipe(), random = randomOf(5);
  let wrote = "", read = "";
  for (let i = 0; i < 400; i++) {
    const piece = String.fromCharCode(65 + (i % 26)).repeat(1 + random(700));
    if (wrote.length - read.length + piece.length <= PIPE_CAPACITY && random(2) === 0) {
      assert.is(box.write(w, piece), piece.length);
      wrote += piece;
    } else if (wrote.length > read.length) read += box.read(r, 1 + random(3000));
  }
  while (read.length < wrote.length) read += box.read(r);
  assert.ok(read === wrote);
});

test("a pipe holds 64 KiB; a long write that may not wait does what fits, then EAGAIN", () => {
  const [r, w] = pipe(O_NONBLOCK);
  assert.is(box.write(w, bytes(100_000)), PIPE_CAPACITY);
  assert.is(box.write(w, bytes(100_000)), -EAGAIN);
  assert.is(box.write(w, "x"), -EAGAIN);
  assert.is((box.read(r) as string).length, PIPE_CAPACITY);
  assert.is(box.read(r), -EAGAIN);
});

test("up to PIPE_BUF bytes go in whole or not at all; one more byte may be torn", () => {
  const [r, w] = pipe(O_NONBLOCK);
  box.write(w, bytes(PIPE_CAPACITY - PIPE_BUF + 1));
  assert.is(box.write(w, bytes(PIPE_BUF)), -EAGAIN);
  assert.is(box.write(w, bytes(PIPE_BUF + 1)), PIPE_BUF - 1);
  box.read(r);
  box.write(w, bytes(PIPE_CAPACITY - PIPE_BUF));
  assert.is(box.write(w, bytes(PIPE_BUF)), PIPE_BUF);
});

test("short writes of two waiting writers are not mixed", () => {
  const [r, w] = pipe();
  box.write(w, bytes(PIPE_CAPACITY - 100, "."));
  const a = box.begin(box.writing(w, bytes(PIPE_BUF, "a"))), b = box.begin(box.writing(w, bytes(PIPE_BUF, "b")));
  assert.equal([a.sleepsAt, b.sleepsAt], ["pipewr", "pipewr"]);
  let all = "";
  // Room comes in small pieces.
  for (let i = 0; all.length < PIPE_CAPACITY - 100 + 2 * PIPE_BUF; i++) {
    assert.ok(i < 1000);
    all += box.read(r, 1000);
    box.sched.settle();
  }
  assert.equal([a.result, b.result], [PIPE_BUF, PIPE_BUF]);
  assert.match(all, /^\.+(a{4096}b{4096}|b{4096}a{4096})$/);
});

test("a long write waits for readers and does all of it", () => {
  const [r, w] = pipe(), total = 3 * PIPE_CAPACITY + 7, call = box.begin(box.writing(w, bytes(total)));
  let n = 0;
  while (n < total) {
    assert.is(call.sleepsAt, n + PIPE_CAPACITY < total ? "pipewr" : "");
    n += (box.read(r, 10_000) as string).length;
    box.sched.settle();
  }
  assert.is(call.result, total);
});

test("a reader waits for bytes, takes what is there, and sees the end when the last writer goes", () => {
  const [r, w] = pipe(), first = box.begin(box.reading(r, 10));
  assert.is(first.sleepsAt, "piperd");
  box.write(w, "abc");
  box.sched.settle();
  assert.is(first.result, "abc");
  box.write(w, "rest");
  const last = box.begin(box.reading(r, 0));
  assert.is(last.result, "");
  w.hold();
  const waiting = [box.begin(box.reading(r, 4)), box.begin(box.reading(r, 4))];
  assert.equal(waiting.map((c) => c.result ?? c.sleepsAt), ["rest", "piperd"]);
  box.close(w);
  assert.is(waiting[1]!.sleepsAt, "piperd", "a descriptor of it is left");
  box.close(w);
  assert.equal([waiting[1]!.result, box.read(r)], ["", ""]);
});

test("without readers a write is EPIPE, a null write is not; a long write that began tells how far it came", () => {
  const [r, w] = pipe(), call = box.begin(box.writing(w, bytes(70_000)));
  assert.is(call.sleepsAt, "pipewr");
  box.close(r);
  assert.is(call.result, PIPE_CAPACITY);
  assert.equal([box.write(w, "x"), box.write(w, "")], [-EPIPE, 0]);
});

test("a signal ends a wait: EINTR before the first byte, a short count after it", () => {
  const [r, w] = pipe();
  assert.is(box.begin(box.reading(r, 1)).interrupt(), -EINTR);
  assert.is(box.begin(box.writing(w, bytes(70_000))).interrupt(), PIPE_CAPACITY);
  assert.is(box.begin(box.writing(w, "x")).interrupt(), -EINTR);
  assert.is((box.read(r) as string).length, PIPE_CAPACITY, "what was interrupted left nothing behind");
});

test("poll of the reading end: nothing, IN, IN and HUP, HUP", () => {
  const [r, w] = pipe();
  assert.is(box.poll(r), 0);
  assert.ok(box.wakesPoller(r, () => box.write(w, "abc")));
  assert.is(box.poll(r), IN);
  assert.is(box.poll(r, POLLIN), POLLIN);
  assert.ok(box.wakesPoller(r, () => box.close(w)));
  assert.is(box.poll(r), IN | POLLHUP);
  box.read(r);
  assert.is(box.poll(r), POLLHUP);
  assert.is(box.poll(r, 0), POLLHUP, "HUP is told unasked");
});

test("poll of the writing end: OUT while a page of room is left, ERR when nobody reads", () => {
  const [r, w] = pipe(O_NONBLOCK);
  assert.is(box.poll(w), OUT);
  box.write(w, bytes(PIPE_CAPACITY - PIPE_BUF));
  assert.is(box.poll(w), OUT);
  box.write(w, "x");
  assert.is(box.poll(w), 0);
  assert.ok(box.wakesPoller(w, () => box.read(r, 1)));
  assert.is(box.poll(w), OUT);
  box.write(w, bytes(PIPE_BUF));
  assert.is(box.poll(w), 0);
  assert.ok(box.wakesPoller(w, () => box.close(r)));
  assert.is(box.poll(w), POLLERR);
  assert.is(box.poll(w, 0), POLLERR);
});

test("F_SETPIPE_SZ rounds up to a power of two of pages, keeps what is queued, and lets waiting writers in", () => {
  const [r, w] = pipe(), root = box.init.mainThread, user = box.child().mainThread;
  user.proc.cred = new Cred(1000);
  const set = (n: number, t = user): number => w.ops.fcntl!(w, F_SETPIPE_SZ, n, t), get = (): number => r.ops.fcntl!(r, F_GETPIPE_SZ, 0, user);
  assert.is(get(), PIPE_CAPACITY);
  assert.equal([0, 1, 4096, 4097, 12288].map((n) => [set(n), get()]), [[4096, 4096], [4096, 4096], [4096, 4096], [8192, 8192], [16384, 16384]]);
  assert.equal([set(-1), get()], [-EINVAL, 16384]);
  box.write(w, bytes(8000, "a"));
  box.read(r, 7000);
  box.write(w, bytes(15_000, "b"));
  assert.is(set(8192), -EBUSY);
  const call = box.begin(box.writing(w, bytes(2000, "c")));
  assert.is(call.sleepsAt, "pipewr");
  assert.is(set(32768), 32768);
  box.sched.settle();
  assert.is(call.result, 2000);
  assert.ok(box.read(r) === bytes(1000, "a") + bytes(15_000, "b") + bytes(2000, "c"));
  assert.is(set(PIPE_CAPACITY_MAX), PIPE_CAPACITY_MAX);
  assert.is(set(PIPE_CAPACITY_MAX + 1), -EPERM);
  assert.equal([set(PIPE_CAPACITY_MAX + 1, root), set(2 ** 30, root), get()], [2 * PIPE_CAPACITY_MAX, -ENOMEM, 2 * PIPE_CAPACITY_MAX]);
  const [r2, w2] = pipe(), resize = (n: number): number => r2.ops.fcntl!(r2, F_SETPIPE_SZ, n, user);
  box.write(w2, bytes(4097));
  assert.equal([resize(4096), resize(8192)], [-EBUSY, 8192]);
});

test("both ends are one pipe of mode 0600, and say so in /proc", () => {
  const [r, w] = pipe(), [a, b] = [box.run(r.ops.stat(r)), box.run(w.ops.stat(w))];
  assert.ok(typeof a !== "number" && typeof b !== "number");
  assert.equal([a.ino, a.mode, a.size], [b.ino, 0o600, 0]);
  assert.is(r.ops.describe!(r), `pipe:[${a.ino}]`);
  assert.is(w.ops.describe!(w), r.ops.describe!(r));
  assert.not.equal(pipe()[0].ops.describe!(pipe()[0]), r.ops.describe!(r));
});

test.run();
