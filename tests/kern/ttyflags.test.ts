// Rarer flags and requests of terminals: erasing on paper, marks, capitals, flow control both ways, a line that is gone.
import { O_NONBLOCK, O_RDWR, POLLOUT } from "../../kernel/kern/file.ts";
import {
  ECHOE, ECHOPRT, ICANON, IEXTEN, ISTRIP, IUCLC, IXOFF, IXON, PARMRK, TCGETS, TCXONC, TIOCGWINSZ, TIOCSPGRP, VSTART, VSTOP,
} from "../../kernel/kern/termios.ts";
import { openTty } from "../../kernel/kern/ttyops.ts";
import { TTY_QUEUE } from "../../kernel/kern/ttyline.ts";
import { EAGAIN, EINVAL, EIO, ENOTTY } from "../../kernel/lib/errno.ts";
import { USER_VA } from "../helpers/kernbox.ts";
import { assert, suite } from "../helpers/suite.ts";
import { TtyBox } from "../helpers/ttybox.ts";

const test = suite("ttyflags"), DEL = "\x7f", XON = "\x11", XOFF = "\x13", OFF = 0, ON = 1, SEND_STOP = 2, SEND_START = 3;

test("ECHOPRT prints what is erased between a backslash and a slash", () => {
  const box = new TtyBox();
  box.modes({ l: ECHOPRT });
  assert.is(box.echo(`abc${DEL}${DEL}x\n`), "abc\\cb/x\r\n");
  assert.is(box.now, "ax\n");
  box.modes({ i: 0x4000 });
  assert.is(box.echo(`a\xc3\xa9${DEL}\n`), "a\xc3\xa9\\\xc3\xa9/\r\n");
  box.modes({}, { l: ECHOPRT | ECHOE });
  assert.is(box.echo(`a${DEL}`), "a^?");
});

test("PARMRK doubles the byte that begins a mark, but for ISTRIP; IUCLC makes capitals small, with IEXTEN", () => {
  const box = new TtyBox();
  box.modes({ i: PARMRK }, { l: ICANON });
  box.type("a\xffb");
  assert.is(box.now, "a\xff\xffb");
  box.modes({ i: ISTRIP });
  box.type("\xff");
  assert.is(box.now, "\x7f");
  box.modes({ i: IUCLC });
  box.type("AzZ");
  assert.is(box.now, "azz");
  box.modes({}, { l: IEXTEN });
  box.type("AzZ");
  assert.is(box.now, "AzZ");
});

test("IXOFF: the other side is stopped before the queue is full, and goes on when it was read", () => {
  const box = new TtyBox();
  box.modes({ i: IXOFF }, { l: ICANON | 8 });
  assert.is(box.echo("x".repeat(TTY_QUEUE - 129)), "");
  assert.is(box.echo("x"), XOFF);
  assert.is(box.echo("x"), "", "it was told");
  box.run(box.reading(box.file, 2000));
  assert.is(box.shown, "", "still more than a little");
  box.run(box.reading(box.file, 2000));
  assert.is(box.shown, XON);
  box.modes({ l: ICANON });
  assert.is(box.echo("x".repeat(TTY_QUEUE)).includes(XOFF), false, "a line that nobody can read yet");
});

test("TCXONC: what it stopped only it starts; it tells the other side with STOP and START", () => {
  const box = new TtyBox(), write = (): string | number => box.with(O_NONBLOCK, () => box.write(box.file, "x"));
  assert.equal([box.ioctl(TCXONC, OFF), write(), box.poll(box.file) & POLLOUT], [0, -EAGAIN, 0]);
  box.type(XON);
  assert.is(write(), -EAGAIN, "not by ^Q");
  box.modes({}, { i: IXON });
  assert.is(write(), -EAGAIN, "nor by IXON off");
  const call = box.begin(box.writing(box.file, "y"));
  assert.equal([call.sleepsAt, box.ioctl(TCXONC, ON)], ["ttyout", 0]);
  box.sched.settle();
  assert.is(call.result, 1);
  void box.shown;
  assert.equal([box.ioctl(TCXONC, SEND_STOP), box.ioctl(TCXONC, SEND_START), box.ioctl(TCXONC, 4), box.shown], [0, 0, -EINVAL, XOFF + XON]);
  box.modes({}, {}, [[VSTOP, 0], [VSTART, 0]]);
  assert.equal([box.ioctl(TCXONC, SEND_STOP), box.shown], [0, ""], "no such characters");
});

test("an orphaned group in the background cannot give the terminal to anybody: ENOTTY; modes are EIO", () => {
  const box = new TtyBox(), child = box.child(box.me);
  box.setpgid(child);
  child.parent = box.init;
  box.poke(USER_VA, Int32Array.of(child.pid));
  box.mapUser(1, child);
  assert.equal([box.ioctl(TIOCSPGRP, USER_VA, child), box.ioctl(TCXONC, ON, child)], [-ENOTTY, -EIO]);
});

test("after a hangup every request fails, and writers are told at once", () => {
  const box = new TtyBox();
  box.ioctl(TCXONC, OFF);
  box.tty.hangup();
  assert.equal([box.ioctl(TCGETS), box.ioctl(TIOCGWINSZ), box.ioctl(TIOCSPGRP)], [-EIO, -EIO, -ENOTTY]);
  assert.equal([box.write(box.file, "x"), box.poll(box.file) & POLLOUT], [-EIO, POLLOUT]);
  assert.is(openTty(box.k, box.tty, null, O_RDWR, box.me.mainThread), -EIO);
});

test.run();
