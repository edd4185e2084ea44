// Named pipes: who waits for whom when they are opened, and what poll says of them before, while and after there is a writer.
import {
  type OpenFile, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY, POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM,
} from "../../kernel/kern/file.ts";
import { EAGAIN, EINTR, ENXIO, EPIPE } from "../../kernel/lib/errno.ts";
import { KernBox } from "../helpers/kernbox.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("fifo"), IN = POLLIN | POLLRDNORM, OUT = POLLOUT | POLLWRNORM, PATH = "/f";

function withFifo(): KernBox {
  const box = new KernBox();
  box.mknod(PATH);
  return box;
}

const opening = (box: KernBox, flags: number) => box.begin((t) => box.opening(PATH, flags, box.me, t));
const open = (box: KernBox, flags: number): OpenFile => box.open(PATH, flags);

test("a reader waits for a writer, a writer for a reader, and both go on together", () => {
  for (const [first, second] of [[O_RDONLY, O_WRONLY], [O_WRONLY, O_RDONLY]] as const) {
    const box = withFifo(), a = opening(box, first);
    assert.is(a.sleepsAt, "fifo");
    const same = opening(box, first);
    assert.is(same.sleepsAt, "fifo", "one of its own kind is not who it waits for");
    const b = opening(box, second);
    const files = [a, same, b].map((c) => box.fileOf(c.result!));
    const [r, w] = first === O_RDONLY ? [files[0]!, files[2]!] : [files[2]!, files[0]!];
    assert.is(box.write(w, "through"), 7);
    assert.is(box.read(r), "through");
  }
});

test("O_RDONLY with O_NONBLOCK does not wait; O_WRONLY with it is ENXIO until somebody reads", () => {
  const box = withFifo();
  assert.is(box.run(box.opening(PATH, O_WRONLY | O_NONBLOCK)), -ENXIO);
  const r = open(box, O_RDONLY | O_NONBLOCK);
  assert.is(box.read(r), "", "no writer: the end");
  const w = open(box, O_WRONLY | O_NONBLOCK);
  assert.is(box.read(r), -EAGAIN);
  box.write(w, "x");
  assert.is(box.read(r), "x");
  box.closeFile(r);
  assert.is(box.write(w, "x"), -EPIPE);
  assert.is(box.run(box.opening(PATH, O_WRONLY | O_NONBLOCK)), -ENXIO, "a writer is no reader");
});

test("O_RDWR never waits, is its own other side, and never sees the end", () => {
  const box = withFifo(), f = open(box, O_RDWR);
  assert.is(box.write(f, "self"), 4);
  assert.is(box.read(f), "self");
  const call = box.begin(box.reading(f, 1));
  assert.is(call.sleepsAt, "piperd");
  assert.is(call.interrupt(), -EINTR);
  assert.is(opening(box, O_RDONLY).sleepsAt, "");
  assert.is(opening(box, O_WRONLY).sleepsAt, "");
});

test("a writer that came and went while the reader still slept has let it in", () => {
  const box = withFifo(), reader = box.begin((t) => box.opening(PATH, O_RDONLY, box.me, t));
  assert.is(reader.sleepsAt, "fifo");
  // Opened, written and closed before the reader runs.
  const quick = box.run((function* () {
    const fd = yield* box.opening(PATH, O_WRONLY | O_NONBLOCK, box.init);
    const f = box.fileOf(fd, box.init), n = yield* box.writing(f, "brief");
    box.init.fds.take(fd);
    yield* f.ops.close(f);
    return n;
  })(), box.init);
  assert.is(quick, 5);
  box.sched.settle();
  const r = box.fileOf(reader.result!);
  assert.equal([box.read(r), box.read(r)], ["brief", ""]);
});

test("a signal ends the wait in open, and nothing of it stays: no reader, no reference", () => {
  const box = withFifo(), { rootVnode } = box.k.vfs, refs = rootVnode.useCount, call = opening(box, O_RDONLY);
  assert.is(call.sleepsAt, "fifo");
  assert.is(call.interrupt(), -EINTR);
  assert.is(box.run(box.opening(PATH, O_WRONLY | O_NONBLOCK)), -ENXIO);
  assert.is(rootVnode.useCount, refs);
  const r = open(box, O_RDONLY | O_NONBLOCK), { vnode } = r;
  assert.is(vnode!.useCount, 1);
  box.closeFile(r);
});

test("what was not read is gone when both sides closed; the next ones begin anew", () => {
  const box = withFifo(), r = open(box, O_RDONLY | O_NONBLOCK), w = open(box, O_WRONLY);
  box.write(w, "lost");
  box.closeFile(r);
  box.closeFile(w);
  const again = open(box, O_RDWR | O_NONBLOCK);
  assert.is(box.read(again), -EAGAIN);
});

test("bytes outlive the writer, and the name", () => {
  const box = withFifo(), r = open(box, O_RDONLY | O_NONBLOCK), w = open(box, O_WRONLY);
  box.write(w, "kept");
  box.closeFile(w);
  assert.is(box.unlink(PATH), 0);
  assert.equal([box.read(r, 2), box.read(r), box.read(r)], ["ke", "pt", ""]);
  box.closeFile(r);
});

test("poll: no HUP before the first writer, HUP after the last, none again when one comes back", () => {
  const box = withFifo(), r = open(box, O_RDONLY | O_NONBLOCK);
  assert.is(box.poll(r), 0);
  const w = open(box, O_WRONLY);
  assert.equal([box.poll(r), box.poll(w)], [0, OUT]);
  assert.ok(box.wakesPoller(r, () => box.write(w, "x")));
  assert.is(box.poll(r), IN);
  assert.ok(box.wakesPoller(r, () => box.closeFile(w)));
  assert.is(box.poll(r), IN | POLLHUP);
  box.read(r);
  assert.is(box.poll(r), POLLHUP);
  const back = open(box, O_WRONLY);
  assert.is(box.poll(r), 0);
  box.closeFile(r);
  assert.is(box.poll(back), OUT | POLLERR);
});

test("poll: a reader that opened after the last writer left has not missed anybody, so it sees no HUP", () => {
  const box = withFifo(), old = open(box, O_RDONLY | O_NONBLOCK);
  box.closeFile(open(box, O_WRONLY));
  assert.is(box.poll(old), POLLHUP);
  const young = open(box, O_RDONLY | O_NONBLOCK);
  assert.equal([box.poll(young), box.poll(old)], [0, POLLHUP]);
  box.closeFile(open(box, O_WRONLY));
  assert.equal([box.poll(young), box.poll(old)], [POLLHUP, POLLHUP]);
});

test("poll of both directions in one descriptor tells both", () => {
  const box = withFifo(), f = open(box, O_RDWR);
  assert.is(box.poll(f), OUT);
  box.write(f, "x");
  assert.is(box.poll(f), IN | OUT);
});

test.run();
