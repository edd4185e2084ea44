// The terminal's line discipline without a device: editing and echo, mappings, signals, raw reads, flow control, job control.
import { Cred } from "../../kernel/kern/cred.ts";
import { O_NOCTTY, O_NONBLOCK, O_RDWR, POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from "../../kernel/kern/file.ts";
import type { Process } from "../../kernel/kern/proc.ts";
import { SIG_IGN, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH } from "../../kernel/kern/sigset.ts";
import {
  ECHO, ECHOCTL, ECHOE, ECHOK, ECHOKE, ECHONL, ICANON, ICRNL, IGNCR, INLCR, ISIG, ISTRIP, IUTF8, IXANY, IXON, NOFLSH, OCRNL, ONLCR, ONOCR, OPOST, TCFLSH, TCGETS,
  TCSETS, TCSETSF, TCXONC, TIOCGPGRP, TIOCGWINSZ, TIOCNOTTY, TIOCSCTTY, TIOCSPGRP, TIOCSTI, TIOCSWINSZ, TOSTOP, VEOL, XTABS, FIONREAD, TERMIOS_BYTES,
} from "../../kernel/kern/termios.ts";
import { openTty } from "../../kernel/kern/ttyops.ts";
import { TTY_QUEUE } from "../../kernel/kern/ttyline.ts";
import { EAGAIN, EFAULT, EINTR, EINVAL, EIO, ENOTTY, EPERM, ESRCH } from "../../kernel/lib/errno.ts";
import { toBytes } from "../../kernel/uvm/uio.ts";
import { USER_VA } from "../helpers/kernbox.ts";
import { TtyBox } from "../helpers/ttybox.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("tty"), TENTH = 1e8, ctrl = (c: string): string => String.fromCharCode(c.charCodeAt(0) & 31), DEL = "\x7f";

// ---- lines ---------------------------------------------------------------------------------------------------------

test("a line can be read when it is complete: one a read, in parts if the read is short", () => {
  const box = new TtyBox(), first = box.reader();
  box.type("one");
  assert.equal([first.sleepsAt, box.now, box.poll(box.file), box.int(FIONREAD)], ["ttyin", -EAGAIN, POLLOUT | POLLWRNORM, 0]);
  assert.ok(box.wakesPoller(box.file, () => box.type("\rtwo\r")));
  assert.equal([first.result, box.int(FIONREAD), box.poll(box.file)], ["one\n", 4, POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM]);
  assert.equal([box.read(box.file, 2), box.read(box.file, 2), box.now], ["tw", "o\n", -EAGAIN]);
});

test("erase, word erase and kill take from the edited line only, and from the screen what they took", () => {
  const box = new TtyBox(), rub = "\b \b";
  box.type("done\r");
  assert.equal([box.echo(DEL), box.echo("abc" + DEL), box.echo(ctrl("U"))], ["", `abc${rub}`, rub.repeat(2)]);
  assert.is(box.echo(`echo foo-bar  ${ctrl("W")}`), `echo foo-bar  ${rub.repeat(5)}`, "spaces, then letters, up to the hyphen");
  assert.is(box.echo(ctrl("W")), rub.repeat(4));
  box.type("x\r");
  assert.equal([box.now, box.now], ["done\n", "echo x\n"]);
});

test("control characters show as ^X and take two columns; a tab is stepped back over from where it began", () => {
  const box = new TtyBox();
  assert.is(box.echo(`${ctrl("V")}${ctrl("C")}${DEL}`), "^\b^C\b \b\b \b");
  box.write(box.file, "$ ");
  assert.is(box.echo("a\t"), "a\t");
  assert.is(box.echo(DEL), "\b".repeat(5));
  assert.is(box.echo(ctrl("A")), "^A");
  box.modes({}, { l: ECHOCTL });
  assert.is(box.echo(ctrl("B")), ctrl("B"));
  assert.is(box.echo(ctrl("V")), "", "no caret to step back over");
});

test("other forms of echo: without ECHOE the erase character, without ECHOK or ECHOKE the kill character, with ECHONL the newline alone", () => {
  const box = new TtyBox();
  box.modes({}, { l: ECHOE });
  assert.equal([box.echo(`ab${DEL}`), box.echo(ctrl("U"))], ["ab^?", "^U\r\n"]);
  box.modes({ l: ECHOE }, { l: ECHOKE });
  assert.is(box.echo(`ab${ctrl("U")}`), "ab^U\r\n");
  box.modes({ l: ECHOKE }, { l: ECHOK });
  assert.is(box.echo(`ab${ctrl("U")}`), "ab^U");
  box.modes({ l: ECHONL }, { l: ECHO });
  assert.equal([box.echo(`a${DEL}b\r`), box.now], ["\r\n", "b\n"]);
});

test("a literal next byte is only itself: no end of line, no end of file, no signal", () => {
  const box = new TtyBox(), V = ctrl("V");
  assert.is(box.echo(`${V}\n${DEL}`), "^\b^J\b \b\b \b", "a newline that ends nothing");
  box.type(`a${V}\n${V}${ctrl("D")}${V}${ctrl("C")}${V}${DEL}${V}${V}b\r`);
  assert.is(box.now, `a\n${ctrl("D")}${ctrl("C")}${DEL}${V}b\n`);
  assert.equal(box.signals(box.me), []);
});

test("the end-of-file character ends a read at once: with what was typed, or with nothing", () => {
  const box = new TtyBox(), D = ctrl("D"), a = box.reader();
  assert.is(box.echo(`part${D}`), "part");
  assert.is(a.result, "part");
  const end = box.reader();
  box.type(D);
  assert.equal([end.result, box.int(FIONREAD)], ["", 0]);
  box.type(`abc${D}x\r`);
  assert.equal([box.read(box.file, 3), box.now], ["abc", "x\n"], "a read of just the length swallows the mark");
});

test("other ends of line, and the reprint of a line", () => {
  const box = new TtyBox();
  box.modes({}, {}, [[VEOL, 59]]);
  assert.is(box.echo("a;b"), "a;b");
  assert.equal([box.now, box.now], ["a;", -EAGAIN]);
  assert.is(box.echo(`c${ctrl("R")}`), "c^R\r\nbc");
});

test("input is mapped: ICRNL, INLCR, IGNCR, ISTRIP", () => {
  const box = new TtyBox();
  box.raw(1, 0);
  for (const [i, off, want] of [[ICRNL, 0, "a\n\n\xe1"], [0, ICRNL, "a\r\n\xe1"], [INLCR, ICRNL, "a\r\r\xe1"], [IGNCR | ICRNL, INLCR, "a\n\xe1"], [ISTRIP, IGNCR, "a\n\na"]] as const) {
    box.modes({ i }, { i: off });
    box.type("a\r\n\xe1");
    assert.is(box.now, want);
  }
});

test("output is mapped only with OPOST: ONLCR, OCRNL, ONOCR, tabs", () => {
  const box = new TtyBox(), out = (text: string): string => {
    assert.is(box.write(box.file, text), text.length);
    return box.shown;
  };
  assert.is(out("a\nb\tc\r"), "a\r\nb\tc\r");
  box.modes({ o: XTABS | OCRNL | ONOCR }, { o: ONLCR });
  assert.is(out("\r\tab\r\n"), "        ab\n\n");
  box.modes({}, { o: OPOST });
  assert.is(out("a\nb\t\r"), "a\nb\t\r");
});

test("erasing takes a whole UTF-8 character, if the terminal knows that they are", () => {
  const box = new TtyBox();
  box.modes({ i: IUTF8 });
  assert.is(box.echo(`x\xc3\xa4${DEL}`), "x\xc3\xa4\b \b");
  box.type("\r");
  assert.is(box.now, "x\n");
  box.modes({}, { i: IUTF8 });
  box.type(`\xc3\xa4${DEL}\r`);
  assert.is(box.now, "\xc3\n");
});

test("a line too long keeps its beginning and its end, and input that nobody reads does not grow", () => {
  const box = new TtyBox();
  box.type(`${"x".repeat(TTY_QUEUE + 500)}\r`);
  const line = box.now as string;
  assert.equal([line.length, line.endsWith("x\n")], [TTY_QUEUE, true]);
  box.raw(1, 0);
  box.type("y".repeat(3 * TTY_QUEUE));
  assert.ok(box.tty.isFull && box.tty.readableBytes < TTY_QUEUE);
});

// ---- raw reads -----------------------------------------------------------------------------------------------------

test("MIN without TIME waits for so many bytes, or as many as were asked for", () => {
  const box = new TtyBox();
  box.raw(3, 0);
  const call = box.reader();
  box.type("ab");
  assert.equal([call.sleepsAt, box.poll(box.file, POLLIN)], ["ttyin", 0]);
  box.type("cd");
  assert.is(call.result, "abcd");
  const two = box.reader(2);
  box.type("xy");
  assert.is(two.result, "xy");
  box.type("z");
  assert.is(box.now, "z", "who may not wait takes what there is");
});

test("MIN and TIME: the clock runs from the first byte, and anew from each", () => {
  const box = new TtyBox();
  box.raw(5, 2);
  const call = box.reader(), start = box.sched.timeNs;
  assert.is(box.sched.passTime(), false, "before the first byte it waits for ever");
  box.type("a");
  box.sched.timeNs += TENTH;
  box.type("b");
  assert.ok(box.sched.passTime());
  box.sched.settle();
  assert.equal([call.result, box.sched.timeNs - start], ["ab", 3 * TENTH]);
  assert.is(box.poll(box.file, POLLIN), 0);
  box.type("c");
  assert.is(box.poll(box.file, POLLIN), POLLIN, "with TIME one byte is enough for poll");
});

test("TIME without MIN is a timeout: nothing after it, the first byte before it", () => {
  const box = new TtyBox();
  box.raw(0, 3);
  const none = box.reader(), start = box.sched.timeNs;
  assert.equal([none.sleepsAt, box.now], ["ttyin", -EAGAIN]);
  box.sched.passTime();
  box.sched.settle();
  assert.equal([none.result, box.sched.timeNs - start], ["", 3 * TENTH]);
  const one = box.reader();
  box.type("q");
  assert.is(one.result, "q");
});

test("neither MIN nor TIME: what is there, at once, and no EAGAIN either", () => {
  const box = new TtyBox();
  box.raw(0, 0);
  assert.equal([box.read(box.file), box.now], ["", ""]);
  box.type("q");
  assert.is(box.read(box.file), "q");
});

test("between the modes: what was typed as an unfinished line can be read raw, and raw bytes as a line", () => {
  const box = new TtyBox();
  box.type("abc");
  box.raw(1, 0);
  assert.is(box.now, "abc");
  box.type("de");
  box.modes({ l: ICANON });
  assert.is(box.now, "de");
  box.type("lost");
  box.poke(USER_VA, box.tty.termios.save(TERMIOS_BYTES));
  assert.is(box.ioctl(TCSETSF), 0);
  box.type("\r");
  assert.is(box.now, "\n", "TCSETSF flushes");
});

// ---- signals and jobs ----------------------------------------------------------------------------------------------

test("INTR, QUIT and SUSP signal the foreground group, show themselves and drop what was typed, but for NOFLSH", () => {
  const box = new TtyBox(), child = box.child();
  for (const [c, sig, shows] of [[ctrl("C"), SIGINT, "^C"], ["\x1c", SIGQUIT, "^\\"], [ctrl("Z"), SIGTSTP, "^Z"]] as const) {
    assert.is(box.echo(`lost${c}`), `lost${shows}`);
    assert.equal([box.signals(box.me), box.signals(child)], [[sig], [sig]]);
    box.type("kept\r");
    assert.is(box.now, "kept\n");
  }
  box.modes({ l: NOFLSH });
  box.type(`be${ctrl("C")}low\r`);
  assert.equal([box.now, box.signals(child)], ["below\n", [SIGINT]]);
  box.modes({}, { l: ISIG });
  box.type(`a${ctrl("C")}\r`);
  assert.equal([box.now, box.signals(child)], [`a${ctrl("C")}\n`, []]);
});

test("a signal ends a read that waits", () => {
  const box = new TtyBox(), call = box.reader();
  box.type(ctrl("C"));
  assert.is(call.result, -EINTR);
});

test("a group in the background is stopped when it reads, when it sets modes, and with TOSTOP when it writes", () => {
  const box = new TtyBox(), child = box.child(), t = child.mainThread;
  box.setpgid(child);
  const read = (): number | string => box.run(box.reading(box.file, 10, t), child), write = (): number => box.run(box.writing(box.file, "x", t), child);
  assert.equal([read(), box.signals(child), write()], [-EINTR, [SIGTTIN], 1]);
  box.poke(USER_VA, box.tty.termios.save(TERMIOS_BYTES));
  assert.equal([box.ioctl(TCSETS, USER_VA, child), box.signals(child)], [-EINTR, [SIGTTOU]]);
  box.modes({ l: TOSTOP });
  assert.equal([write(), box.signals(child)], [-EINTR, [SIGTTOU]]);
  for (const sig of [SIGTTIN, SIGTTOU]) child.actions.of(sig).handler = SIG_IGN;
  assert.equal([read(), write(), box.signals(child)], [-EIO, 1, []], "ignored: no read, but writes");
  for (const sig of [SIGTTIN, SIGTTOU]) child.actions.of(sig).handler = 0;
  child.parent = box.init;
  assert.equal([read(), write()], [-EIO, -EIO], "nobody would continue it");
});

test("the foreground group is one of the session's, and who leads a session gets its terminal by opening", () => {
  const box = new TtyBox(), child = box.child(), other = box.child(box.init, true), { me, tty } = box;
  assert.equal([tty.session === me.pgrp.session, box.int(TIOCGPGRP)], [true, me.pid]);
  const set = (pgid: number): number => {
    box.poke(USER_VA, Int32Array.of(pgid));
    return box.ioctl(TIOCSPGRP);
  };
  assert.equal([set(child.pid), set(other.pid)], [-ESRCH, -EPERM]);
  box.setpgid(child);
  assert.equal([set(child.pid), tty.foreground === child.pgrp], [0, true]);
  assert.equal([box.ioctl(TIOCGPGRP, USER_VA, other), box.ioctl(TIOCSCTTY, 0, other)], [-ENOTTY, -EPERM]);
  box.ioctl(TIOCNOTTY);
  assert.equal([tty.session, box.signals(child)], [null, [SIGHUP]]);
  openTty(box.k, tty, null, O_RDWR | O_NOCTTY, other.mainThread);
  assert.is(tty.session, null);
  openTty(box.k, tty, null, O_RDWR, other.mainThread);
  assert.is(tty.session, other.pgrp.session);
});

test("a new window size is kept, and told to the foreground when it differs", () => {
  const box = new TtyBox(), set = (rows: number, cols: number): number => {
    box.poke(USER_VA, Uint16Array.of(rows, cols, 0, 0));
    return box.ioctl(TIOCSWINSZ);
  };
  box.me.actions.of(SIGWINCH).handler = 0x1000;
  assert.equal([set(50, 132), box.signals(box.me), set(50, 132), box.signals(box.me)], [0, [SIGWINCH], 0, []]);
  assert.is(box.ioctl(TIOCGWINSZ), 0);
  const d = box.peek(USER_VA, 8);
  assert.equal([0, 2, 4, 6].map((at) => d.getUint16(at, true)), [50, 132, 0, 0]);
});

// ---- flow control and the rest -------------------------------------------------------------------------------------

test("^S makes writers wait and ^Q lets them go on; with IXANY anything does, and is input too", () => {
  const box = new TtyBox(), S = ctrl("S"), Q = ctrl("Q");
  box.type(S);
  assert.is(box.poll(box.file, POLLOUT), 0);
  const call = box.begin(box.writing(box.file, "held"));
  assert.equal([call.sleepsAt, box.shown, box.with(O_NONBLOCK, () => box.write(box.file, "x"))], ["ttyout", "", -EAGAIN]);
  assert.ok(box.wakesPoller(box.file, () => box.type(Q)));
  assert.equal([call.result, box.shown], [4, "held"]);
  box.modes({ i: IXANY });
  box.type(`${S}a\r`);
  assert.equal([box.poll(box.file, POLLOUT), box.now], [POLLOUT, "a\n"]);
  box.modes({}, { i: IXON });
  box.type(`${S}${Q}\r`);
  assert.is(box.now, `${S}${Q}\n`, "without IXON they are bytes");
  box.ioctl(TCXONC, 0);
  assert.is(box.poll(box.file, POLLOUT), 0);
  box.ioctl(TCXONC, 1);
  assert.is(box.poll(box.file, POLLOUT), POLLOUT);
});

test("modes come back as they were set; TCFLSH drops input; TIOCSTI types", () => {
  const box = new TtyBox();
  assert.is(box.ioctl(TCGETS), 0);
  const got = new Uint8Array(box.peek(USER_VA, TERMIOS_BYTES).buffer);
  assert.equal(got, box.tty.termios.save(TERMIOS_BYTES));
  assert.equal([...got.subarray(17, 36)], [3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0, 0, 0], "Linux's characters");
  box.type("gone\r");
  assert.equal([box.ioctl(TCFLSH, 0), box.now, box.ioctl(0x5499)], [0, -EAGAIN, -ENOTTY]);
  for (const c of "hi\n") {
    box.poke(USER_VA, toBytes(c));
    assert.is(box.ioctl(TIOCSTI), 0);
  }
  assert.is(box.now, "hi\n");
});

test("TIOCEXCL keeps others out, TIOCSETD knows one line discipline, TIOCSTI is for the session and the superuser", () => {
  const box = new TtyBox(), EXCL = 0x540c, NXCL = 0x540d, SETD = 0x5423, user = box.child();
  user.cred = new Cred(1000);
  const opens = (p: Process): boolean => typeof openTty(box.k, box.tty, null, O_RDWR, p.mainThread) === "object";
  assert.equal([box.ioctl(EXCL), opens(user), opens(box.me), box.ioctl(NXCL), opens(user)], [0, false, true, 0, true]);
  box.poke(USER_VA, Int32Array.of(0));
  assert.is(box.ioctl(SETD), 0);
  box.poke(USER_VA, Int32Array.of(5));
  assert.equal([box.ioctl(SETD), box.ioctl(SETD, 8)], [-EINVAL, -EFAULT]);
  const stranger = box.child(box.me, true);
  stranger.cred = new Cred(1000);
  assert.is(box.ioctl(TIOCSTI, USER_VA, stranger), -EPERM);
});

test("a line that is gone: reads end, writes fail, the session hears of it", () => {
  const box = new TtyBox();
  for (const sig of [SIGHUP, SIGCONT]) box.me.actions.of(sig).handler = SIG_IGN;
  const call = box.reader(), told = new TtyBox();
  box.tty.hangup();
  box.sched.settle();
  assert.equal([call.result, box.read(box.file), box.write(box.file, "x"), box.tty.session], ["", "", -EIO, null]);
  told.me.actions.of(SIGCONT).handler = 0x1000;
  told.tty.hangup();
  assert.equal(told.signals(told.me), [SIGHUP, SIGCONT]);
  assert.is(box.poll(box.file), POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLHUP | POLLERR);
  assert.is(openTty(box.k, box.tty, null, O_RDWR, box.me.mainThread), -EIO);
});

test.run();
