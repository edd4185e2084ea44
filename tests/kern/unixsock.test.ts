// AF_UNIX sockets without programs: names, connecting and backlogs, streams and messages, halves that are shut, what poll says,
// and descriptors that travel. Answers are those of Linux.
import { Cred } from "../../kernel/kern/cred.ts";
import {
  fileRelease, type OpenFile, O_NONBLOCK, POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRBAND, POLLWRNORM, type SocketOps,
} from "../../kernel/kern/file.ts";
import { AF_UNIX, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM } from "../../kernel/kern/socket.ts";
import {
  EACCES, EADDRINUSE, EAFNOSUPPORT, EAGAIN, ECONNREFUSED, ECONNRESET, EDOM, EINTR, EINVAL, EISCONN, EMSGSIZE, ENOENT, ENOPROTOOPT, ENOTCONN, EOPNOTSUPP, EPERM, EPIPE, EPROTOTYPE,
  ESOCKTNOSUPPORT,
} from "../../kernel/lib/errno.ts";
import { latin1, toBytes } from "../../kernel/uvm/uio.ts";
import { VDIR } from "../../kernel/vfs/vnode.ts";
import { NO_RETURN } from "../../kernel/kern/trap.ts";
import { FILE_CALLS } from "../../kernel/sys/file.ts";
import { KernBox, USER_VA } from "../helpers/kernbox.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("unix sockets"), SOL_SOCKET = 1, SO_TYPE = 3, SO_ERROR = 4, SO_SNDBUF = 7, SO_PASSCRED = 16, SO_PEERCRED = 17, SO_ACCEPTCONN = 30;
const PEEK = 2, TRUNC = 0x20, DONTWAIT = 0x40, WAITALL = 0x100, RD = 0, WR = 1, RDWR = 2, IN = POLLIN | POLLRDNORM, OUT = POLLOUT | POLLWRNORM | POLLWRBAND;
const addr = (name: string): Uint8Array => Uint8Array.of(AF_UNIX, 0, ...toBytes(name));

class SockBox extends KernBox {
  socket(type: number, flags = 0): OpenFile {
    const f = this.sockets.socket(this.me.mainThread, AF_UNIX, type, 0);
    if (typeof f === "number") throw new Error(`socket: ${f}`);
    f.flags |= flags;
    return f;
  }

  pair(type: number, flags = 0): readonly [OpenFile, OpenFile] {
    const p = this.sockets.socketpair(this.me.mainThread, AF_UNIX, type, 0);
    if (typeof p === "number") throw new Error(`socketpair: ${p}`);
    for (const f of p) f.flags |= flags;
    return p;
  }

  ops(f: OpenFile): SocketOps { return f.ops as SocketOps; }
  bind(f: OpenFile, name: string): number { return this.run(this.sockets.bind(f, addr(name), this.me.mainThread)); }
  connect(f: OpenFile, name: string): number { return this.run(this.sockets.connect(f, addr(name), this.me.mainThread)); }
  listen(f: OpenFile, n = 5): number { return this.sockets.listen(f, n, this.me.mainThread); }
  shut(f: OpenFile, how: number): number { return this.sockets.shutdown(f, how); }
  accept(f: OpenFile): OpenFile {
    const end = this.run(this.sockets.accept(f));
    if (typeof end === "number") throw new Error(`accept: ${end}`);
    return end;
  }

  server(name: string, type: number = SOCK_STREAM, backlog = 5): OpenFile {
    const s = this.socket(type);
    assert.equal([this.bind(s, name), this.listen(s, backlog)], [0, 0]);
    return s;
  }

  send(f: OpenFile, what: string, to?: string, files: OpenFile[] = []): number {
    return this.run(this.sending(f, what, { name: to === undefined ? null : addr(to), files, flags: DONTWAIT }));
  }

  recv(f: OpenFile, n = 1000, flags = 0) { return this.run(this.receiving(f, n, flags | DONTWAIT)); }
  name(f: OpenFile): string { return latin1(this.sockets.getsockname(f)).slice(2); }
  option(f: OpenFile, name: number): number[] | number {
    const v = this.sockets.getsockopt(f, SOL_SOCKET, name);
    return typeof v === "number" ? v : [...new Int32Array(v.slice().buffer)];
  }
}

// ---- making and naming ---------------------------------------------------------------------------------------------

test("only AF_UNIX streams, datagrams and packets can be made", () => {
  const box = new SockBox(), make = (d: number, type: number): unknown => box.sockets.socket(box.me.mainThread, d, type, 0);
  assert.equal([make(2, SOCK_STREAM), make(AF_UNIX, 3), make(AF_UNIX, 99)], [-EAFNOSUPPORT, -ESOCKTNOSUPPORT, -ESOCKTNOSUPPORT]);
  const f = box.socket(SOCK_SEQPACKET);
  assert.equal([box.option(f, SO_TYPE), box.option(f, SO_ACCEPTCONN), f.ops.describe!(f)], [[SOCK_SEQPACKET], [0], "socket:[1]"]);
});

test("path names: in use, missing, refused after the close, and once more after unlink", () => {
  const box = new SockBox(), s = box.server("/sock"), other = box.socket(SOCK_STREAM);
  assert.is(box.name(s), "/sock\0");
  assert.equal([box.bind(other, "/sock"), box.bind(other, "/none/sock"), box.bind(s, "/again")], [-EADDRINUSE, -ENOENT, -EINVAL]);
  assert.equal([box.connect(other, "/none"), box.connect(other, "/proc/uptime")], [-ENOENT, -ECONNREFUSED]);
  box.close(s);
  assert.equal([box.connect(other, "/sock"), box.bind(other, "/sock")], [-ECONNREFUSED, -EADDRINUSE]);
  assert.is(box.unlink("/sock"), 0);
  assert.equal([box.bind(other, "/sock"), box.listen(other)], [0, 0]);
});

test("abstract names live as long as their socket, and accepted ends do not take them away", () => {
  const box = new SockBox(), s = box.server("\0name"), c = box.socket(SOCK_STREAM);
  assert.is(box.bind(box.socket(SOCK_STREAM), "\0name"), -EADDRINUSE);
  assert.equal([box.connect(c, "\0name"), box.connect(box.socket(SOCK_STREAM), "\0nam")], [0, -ECONNREFUSED]);
  box.close(box.accept(s));
  assert.is(box.connect(box.socket(SOCK_STREAM), "\0name"), 0, "the listener still has its name");
  box.close(s);
  assert.is(box.connect(box.socket(SOCK_STREAM), "\0name"), -ECONNREFUSED);
  assert.is(box.bind(box.socket(SOCK_STREAM), "\0name"), 0);
});

test("binding to no name takes a free abstract one of five digits", () => {
  const box = new SockBox(), [a, b, c] = [box.socket(SOCK_DGRAM), box.socket(SOCK_DGRAM), box.socket(SOCK_DGRAM)];
  assert.is(box.bind(a, "\x0000001"), 0);
  assert.equal([box.bind(b, ""), box.bind(c, "")], [0, 0]);
  assert.match(box.name(b), /^\0[0-9a-f]{5}$/);
  assert.is(new Set([a, b, c].map((f) => box.name(f))).size, 3);
  assert.is(box.name(box.socket(SOCK_STREAM)), "");
});

test("a directory that may not be written refuses bind, a socket that may not be written refuses connect", () => {
  const box = new SockBox(), s = box.server("/root"), t = box.me.mainThread;
  box.mknod("/dir", VDIR, 0o755);
  box.me.cred = new Cred(1000);
  assert.is(box.run(box.sockets.bind(box.socket(SOCK_STREAM), addr("/dir/mine"), t)), -EACCES);
  assert.is(box.connect(box.socket(SOCK_STREAM), "/root"), -EACCES);
  assert.is(box.send(box.socket(SOCK_DGRAM), "x", "/root"), -EACCES);
  box.me.cred = new Cred(0);
  assert.is(box.connect(box.socket(SOCK_STREAM), "/root"), 0);
  box.close(s);
});

// ---- connecting ----------------------------------------------------------------------------------------------------

test("a connection is there before it is accepted, and takes what was sent", () => {
  const box = new SockBox(), s = box.server("/sock"), c = box.socket(SOCK_STREAM);
  assert.is(box.poll(s), 0);
  assert.ok(box.wakesPoller(s, () => assert.is(box.connect(c, "/sock"), 0)));
  assert.is(box.poll(s), IN);
  box.send(c, "early");
  const end = box.accept(s);
  assert.equal([box.recv(end).text, box.poll(s), box.connect(c, "/sock")], ["early", 0, -EISCONN]);
  assert.equal([box.name(end), latin1(box.sockets.getpeername(c) as Uint8Array).slice(2)], ["/sock\0", "/sock\0"]);
  assert.equal([box.sockets.getpeername(s), box.connect(s, "/sock"), box.listen(c), box.listen(box.socket(SOCK_DGRAM))], [-ENOTCONN, -EINVAL, -EINVAL, -EOPNOTSUPP]);
  box.close(end);
  assert.is(box.connect(c, "/sock"), -EISCONN, "once connected, for ever");
});

test("a full backlog makes connect wait, or is EAGAIN; accept lets the next one in", () => {
  const box = new SockBox(), s = box.server("/sock", SOCK_STREAM, 1), c = [0, 1, 2].map(() => box.socket(SOCK_STREAM));
  assert.equal([box.connect(c[0]!, "/sock"), box.connect(c[1]!, "/sock")], [0, 0]);
  assert.is(box.connect(box.socket(SOCK_STREAM, O_NONBLOCK), "/sock"), -EAGAIN);
  const waits = box.begin(box.sockets.connect(c[2]!, addr("/sock"), box.me.mainThread));
  assert.is(waits.sleepsAt, "connect");
  box.accept(s);
  box.sched.settle();
  assert.is(waits.result, 0);
  const gone = box.begin(box.sockets.connect(box.socket(SOCK_STREAM), addr("/sock"), box.me.mainThread));
  assert.is(gone.sleepsAt, "connect");
  box.close(s);
  assert.is(gone.result, -ECONNREFUSED);
});

test("accept waits, can be interrupted, may not wait, and ends when the listener is shut", () => {
  const box = new SockBox(), s = box.server("/sock");
  assert.is(box.begin(box.sockets.accept(s)).interrupt(), -EINTR);
  const waits = box.begin(box.sockets.accept(s));
  assert.is(waits.sleepsAt, "accept");
  box.connect(box.socket(SOCK_STREAM), "/sock");
  box.sched.settle();
  assert.ok(typeof waits.result === "object");
  const shut = box.begin(box.sockets.accept(s));
  assert.is(box.shut(s, RD), 0);
  box.sched.settle();
  assert.equal([shut.result, box.connect(box.socket(SOCK_STREAM), "/sock")], [-EINVAL, -ECONNREFUSED]);
  s.flags |= O_NONBLOCK;
  const other = box.server("/other");
  other.flags |= O_NONBLOCK;
  assert.equal([box.run(box.sockets.accept(other)), box.run(box.sockets.accept(box.socket(SOCK_STREAM))), box.run(box.sockets.accept(box.socket(SOCK_DGRAM)))],
    [-EAGAIN, -EINVAL, -EOPNOTSUPP]);
});

test("who did not accept and closed has reset the connection", () => {
  const box = new SockBox(), s = box.server("/sock"), c = box.socket(SOCK_STREAM);
  box.connect(c, "/sock");
  box.close(s);
  assert.is(box.poll(c), IN | OUT | POLLHUP | POLLRDHUP | POLLERR);
  assert.equal([box.recv(c).n, box.recv(c).n, box.send(c, "x")], [-ECONNRESET, 0, -EPIPE]);
});

test("types have to match, and so do peers: a datagram socket with another peer is EPERM", () => {
  const box = new SockBox(), [a, b, c] = [box.socket(SOCK_DGRAM), box.socket(SOCK_DGRAM), box.socket(SOCK_DGRAM)];
  box.server("/stream");
  box.bind(a, "/a");
  box.bind(b, "/b");
  assert.equal([box.connect(a, "/stream"), box.connect(box.socket(SOCK_SEQPACKET), "/stream")], [-EPROTOTYPE, -EPROTOTYPE]);
  assert.is(box.connect(a, "/b"), 0);
  assert.equal([box.connect(c, "/a"), box.send(c, "x", "/a")], [-EPERM, -EPERM]);
  assert.equal([box.send(b, "x", "/a"), box.recv(a).text], [1, "x"]);
  assert.is(box.run(box.sockets.connect(a, Uint8Array.of(0, 0), box.me.mainThread)), 0, "AF_UNSPEC takes the peer away");
  assert.is(box.send(c, "y", "/a"), 1);
});

test("SO_PEERCRED tells who made the pair or the connection", () => {
  const box = new SockBox(), [a] = box.pair(SOCK_STREAM), pid = box.me.pid;
  assert.equal(box.option(a, SO_PEERCRED), [pid, 0, 0]);
  const s = box.server("/sock"), c = box.socket(SOCK_STREAM), other = box.child();
  other.cred = new Cred(0, 0, 0, 7);
  assert.equal(box.option(c, SO_PEERCRED), [0, -1, -1]);
  assert.is(box.run(box.sockets.connect(c, addr("/sock"), other.mainThread), other), 0);
  assert.equal([box.option(box.accept(s), SO_PEERCRED), box.option(c, SO_PEERCRED)], [[other.pid, 0, 7], [pid, 0, 0]]);
});

// ---- streams -------------------------------------------------------------------------------------------------------

test("a stream has no boundaries; what peeks takes nothing; WAITALL waits for all", () => {
  const box = new SockBox(), [a, b] = box.pair(SOCK_STREAM);
  for (const part of ["one", "two", "three"]) box.send(a, part);
  assert.equal([box.recv(b, 4, PEEK).text, box.recv(b, 4).text, box.recv(b).text, box.recv(b).n], ["onet", "onet", "wothree", -EAGAIN]);
  const all = box.begin(box.receiving(b, 6, WAITALL));
  box.send(a, "abc");
  box.sched.settle();
  assert.is(all.sleepsAt, "soreceive");
  box.send(a, "defg");
  box.sched.settle();
  assert.equal([all.result!.text, box.recv(b).text], ["abcdef", "g"]);
});

test("writing nothing to a stream is nothing, and reading nothing waits for nothing", () => {
  const box = new SockBox(), [a, b] = box.pair(SOCK_STREAM, O_NONBLOCK);
  assert.equal([box.write(a, ""), box.poll(b), box.read(b), box.read(b, 0)], [0, OUT, -EAGAIN, ""]);
});

test("a full stream makes its writer wait; what fits goes in when it may not wait", () => {
  const box = new SockBox(), [a, b] = box.pair(SOCK_STREAM), big = "x".repeat(300_000);
  const n = box.send(a, big);
  assert.ok(n > 100_000 && n < 300_000);
  assert.equal([box.send(a, "x"), box.poll(a) & OUT], [-EAGAIN, 0]);
  const call = box.begin(box.writing(a, "tail"));
  assert.is(call.sleepsAt, "sosend");
  assert.ok(box.wakesPoller(a, () => box.recv(b, 100_000)));
  box.sched.settle();
  assert.equal([call.result, box.poll(a) & OUT], [4, 0], "three quarters have to be free again");
  box.recv(b, 100_000);
  assert.is(box.poll(a) & OUT, OUT);
  const cut = box.begin(box.writing(a, big));
  assert.ok(cut.interrupt()! > 0);
  const stuck = box.begin(box.writing(a, "x"));
  assert.is(stuck.sleepsAt, "sosend");
  box.close(b);
  assert.is(stuck.result, -EPIPE);
});

test("a peer that goes is the end after what it sent; unread bytes that went with it are a reset", () => {
  const box = new SockBox(), [a, b] = box.pair(SOCK_STREAM), [c, d] = box.pair(SOCK_SEQPACKET), reader = box.begin(box.receiving(a, 10));
  box.close(b);
  assert.equal([reader.result!.n, box.recv(a).n, box.send(a, "x"), box.poll(a)], [0, 0, -EPIPE, IN | OUT | POLLHUP | POLLRDHUP]);
  box.send(c, "unread");
  box.send(d, "last");
  box.close(d);
  assert.equal([box.poll(c) & POLLERR, box.recv(c).text, box.recv(c).n, box.recv(c).n, box.option(c, SO_ERROR)], [POLLERR, "last", -ECONNRESET, 0, [0]]);
});

test("the halves of a stream: WR is the peer's end of file, RD the peer's broken pipe, both a hang-up", () => {
  const box = new SockBox(), [a, b] = box.pair(SOCK_STREAM);
  box.send(a, "before");
  const waits = box.begin(box.receiving(a, 1));
  assert.is(box.shut(a, WR), 0);
  assert.equal([box.send(a, "x"), box.poll(b), box.recv(b).text, box.recv(b).n, box.poll(a)], [-EPIPE, IN | OUT | POLLRDHUP, "before", 0, OUT]);
  assert.equal([box.send(b, "back"), waits.sleepsAt], [4, ""]);
  assert.is(box.shut(b, WR), 0);
  assert.equal([box.poll(a), box.poll(b)], [IN | OUT | POLLHUP | POLLRDHUP, IN | OUT | POLLHUP | POLLRDHUP]);
  const [c, d] = box.pair(SOCK_STREAM);
  box.send(d, "kept");
  assert.is(box.shut(c, RD), 0);
  assert.equal([box.send(d, "x"), box.recv(c).text, box.recv(c).n, box.poll(c), box.send(c, "y")], [-EPIPE, "kept", 0, IN | OUT | POLLRDHUP, 1]);
  const [e, f] = box.pair(SOCK_STREAM);
  box.shut(e, RDWR);
  assert.equal([e, f].map((x) => box.poll(x)), [IN | OUT | POLLHUP | POLLRDHUP, IN | OUT | POLLHUP | POLLRDHUP]);
  assert.is(box.shut(a, 3), -EINVAL);
});

test("without a connection: receiving is EINVAL of a stream and ENOTCONN of packets, sending ENOTCONN, an address EOPNOTSUPP or EISCONN", () => {
  const box = new SockBox(), s = box.socket(SOCK_STREAM), p = box.socket(SOCK_SEQPACKET), [a] = box.pair(SOCK_STREAM);
  assert.equal([box.recv(s).n, box.recv(p).n, box.send(s, "x"), box.send(p, "x")], [-EINVAL, -ENOTCONN, -ENOTCONN, -ENOTCONN]);
  assert.equal([box.send(s, "x", "/a"), box.send(a, "x", "/a")], [-EOPNOTSUPP, -EISCONN]);
  assert.equal([box.poll(s), box.poll(box.socket(SOCK_DGRAM))], [OUT | POLLHUP, OUT]);
});

// ---- messages ------------------------------------------------------------------------------------------------------

test("each message is one, empty ones too; what does not fit is cut and says so", () => {
  for (const type of [SOCK_DGRAM, SOCK_SEQPACKET]) {
    const box = new SockBox(), [a, b] = box.pair(type);
    for (const m of ["first", "", "third", "fourth"]) assert.is(box.send(a, m), m.length);
    const look = box.recv(b, 2, PEEK);
    assert.equal([look.text, look.msg.flags & TRUNC, box.recv(b, 0, PEEK | TRUNC).n], ["fi", TRUNC, 5]);
    assert.equal([box.recv(b).text, box.poll(b), box.recv(b).n], ["first", IN | OUT, 0]);
    const cut = box.recv(b, 3);
    assert.equal([cut.n, cut.text, cut.msg.flags & TRUNC, box.recv(b, 2, TRUNC).n, box.recv(b).n], [3, "thi", TRUNC, 6, -EAGAIN]);
  }
});

test("datagrams tell their sender's name; one without a name has none", () => {
  const box = new SockBox(), to = box.socket(SOCK_DGRAM), from = box.socket(SOCK_DGRAM);
  box.bind(to, "/to");
  assert.is(box.send(from, "x"), -ENOTCONN);
  box.send(from, "anonymous", "/to");
  assert.is(box.recv(to).msg.name?.length ?? 0, 0);
  box.bind(from, "\0from");
  box.send(from, "named", "/to");
  assert.equal(box.recv(to).msg.name, addr("\0from"));
  assert.is(box.send(from, "x", "/nowhere"), -ENOENT);
});

test("messages to a socket that closed are refused, once by its peer, and then it has none", () => {
  const box = new SockBox(), to = box.socket(SOCK_DGRAM), from = box.socket(SOCK_DGRAM), [a, b] = box.pair(SOCK_DGRAM);
  box.bind(to, "/to");
  box.connect(from, "/to");
  assert.is(box.send(from, "x"), 1);
  box.close(to);
  box.close(b);
  for (const f of [from, a]) assert.equal([box.send(f, "x"), box.send(f, "x")], [-ECONNREFUSED, -ENOTCONN]);
  assert.is(box.send(from, "x", "/to"), -ECONNREFUSED);
});

test("a message larger than the buffer is EMSGSIZE; one for which there is no room now waits", () => {
  const box = new SockBox(), [a, b] = box.pair(SOCK_DGRAM), size = Int32Array.of(4000);
  for (const f of [a, b]) assert.is(box.sockets.setsockopt(f, SOL_SOCKET, SO_SNDBUF, new Uint8Array(size.buffer), box.me.mainThread), 0);
  assert.equal([box.option(a, SO_SNDBUF), box.send(a, "x".repeat(8001))], [[8000], -EMSGSIZE]);
  assert.equal([box.send(a, "x".repeat(6000)), box.send(a, "y".repeat(3000))], [6000, -EAGAIN]);
  const call = box.begin(box.sending(a, "y".repeat(3000)));
  assert.is(call.sleepsAt, "sosend");
  box.recv(b);
  box.sched.settle();
  assert.equal([call.result, box.recv(b, 8000).n], [3000, 3000]);
});

test("who asks for credentials gets the sender's with each message", () => {
  const box = new SockBox(), [a, b] = box.pair(SOCK_DGRAM);
  box.send(a, "x");
  assert.is(box.recv(b).msg.creds ?? null, null);
  box.sockets.setsockopt(b, SOL_SOCKET, SO_PASSCRED, new Uint8Array(Int32Array.of(1).buffer), box.me.mainThread);
  box.send(a, "x");
  assert.equal(box.recv(b).msg.creds, { pid: box.me.pid, uid: 0, gid: 0 });
});

// ---- descriptors ---------------------------------------------------------------------------------------------------

/** A pipe whose writing end is only where a test puts it: the reader sees the end when that is gone. */
function traveller(box: SockBox): { w: OpenFile; isGone: () => boolean } {
  const [r, w] = box.pipes.create(O_NONBLOCK);
  return { w, isGone: () => box.read(r) === "" };
}

test("a descriptor travels with the first of its bytes, and one read does not take those of two senders", () => {
  const box = new SockBox(), [a, b] = box.pair(SOCK_STREAM), x = traveller(box), y = traveller(box);
  box.send(a, "plain");
  box.send(a, "with", undefined, [x.w]);
  box.send(a, "more", undefined, [y.w]);
  const look = box.recv(b, 100, PEEK);
  assert.equal([look.text, look.msg.files.length], ["plainwith", 1]);
  box.run(fileRelease(look.msg.files[0]!));
  const first = box.recv(b);
  assert.equal([first.text, first.msg.files.length], ["plainwith", 1]);
  const second = box.recv(b, 2);
  assert.equal([second.text, second.msg.files[0] === y.w, box.recv(b).text], ["mo", true, "re"]);
  assert.is(box.write(second.msg.files[0]!, "alive"), 5);
  for (const f of [...first.msg.files, ...second.msg.files]) box.close(f);
  assert.equal([x.isGone(), y.isGone()], [true, false]);
});

test("peeking at a descriptor duplicates it", () => {
  const box = new SockBox(), [a, b] = box.pair(SOCK_DGRAM), x = traveller(box);
  box.send(a, "x", undefined, [x.w]);
  const look = box.recv(b, 10, PEEK), take = box.recv(b);
  assert.equal([look.msg.files.length, take.msg.files.length, x.w.refs], [1, 1, 2]);
  box.close(x.w);
  assert.is(x.isGone(), false);
  box.close(x.w);
  assert.is(x.isGone(), true);
});

test("descriptors that nobody takes are closed: by plain reads, with the queue, with a connection that was not accepted", () => {
  const box = new SockBox(), [a, b] = box.pair(SOCK_STREAM), x = traveller(box), y = traveller(box), z = traveller(box);
  box.send(a, "x", undefined, [x.w]);
  assert.equal([box.read(b, 10), x.isGone()], ["x", true]);
  box.send(a, "y", undefined, [y.w]);
  box.close(a);
  assert.is(y.isGone(), false, "it can still be received");
  box.close(b);
  assert.is(y.isGone(), true);
  const s = box.server("/sock"), c = box.socket(SOCK_STREAM);
  box.connect(c, "/sock");
  box.send(c, "z", undefined, [z.w]);
  box.close(s);
  assert.is(z.isGone(), true);
});

test("a socket in flight in another's queue is closed with it, and so is what lies in its own", () => {
  const box = new SockBox(), [a, b] = box.pair(SOCK_STREAM), [c, d] = box.pair(SOCK_STREAM), x = traveller(box);
  box.send(c, "x", undefined, [x.w]);
  box.send(a, "d", undefined, [d]);
  box.close(c);
  assert.is(x.isGone(), false);
  box.close(b);
  assert.is(x.isGone(), true);
  box.close(a);
});

test("a failed send keeps its descriptors for the caller", () => {
  const box = new SockBox(), [a, b] = box.pair(SOCK_STREAM), x = traveller(box);
  box.close(b);
  const msg = { files: [x.w] };
  assert.is(box.run(box.sending(a, "x", msg)), -EPIPE);
  assert.equal([msg.files, x.w.refs], [[x.w], 1]);
  box.run(fileRelease(x.w));
});

// ---- descriptors that only lie in each other's queues --------------------------------------------------------------

test("a socket sent through its own queue is closed with its last descriptor", () => {
  const box = new SockBox(), x = traveller(box), y = traveller(box), [a, b] = box.pair(SOCK_STREAM), self = box.socket(SOCK_DGRAM);
  box.send(b, "a", undefined, [a.hold()]);
  box.send(b, "x", undefined, [x.w]);
  box.close(a);
  assert.equal([x.isGone(), box.sockets.inFlight.count, box.send(b, "x")], [true, 0, -EPIPE]);
  box.bind(self, "\0self");
  box.send(self, "y", "\0self", [self.hold(), y.w]);
  box.close(self);
  assert.equal([y.isGone(), box.sockets.inFlight.count], [true, 0]);
  box.close(b);
});

test("a cycle of sockets in flight is closed when the last descriptor of them goes, and everything they carry", () => {
  const box = new SockBox(), x = traveller(box), pairs = [0, 1, 2].map(() => box.pair(SOCK_STREAM));
  pairs.forEach(([a], i) => box.send(a, "next", undefined, [pairs[(i + 1) % 3]![1].hold()]));
  box.send(pairs[0]![0], "x", undefined, [x.w]);
  for (const [a] of pairs) box.close(a);
  box.close(pairs[0]![1]);
  box.close(pairs[1]![1]);
  assert.equal([x.isGone(), box.sockets.inFlight.count], [false, 3]);
  box.close(pairs[2]![1]);
  assert.equal([x.isGone(), box.sockets.inFlight.count], [true, 0]);
  for (const [a, b] of pairs) assert.equal([a.refs, b.refs, a.inFlight, b.inFlight], [0, 0, 0, 0]);
});

test("what an open socket can still receive is not garbage, however deep it lies", () => {
  const box = new SockBox(), x = traveller(box), [a, b] = box.pair(SOCK_STREAM), [c, d] = box.pair(SOCK_STREAM), [e, f] = box.pair(SOCK_STREAM);
  box.send(c, "f", undefined, [f.hold()]);
  box.send(e, "dx", undefined, [d.hold(), x.w]);
  box.send(a, "d", undefined, [d.hold()]);
  for (const s of [d, f, c, e]) box.close(s);
  assert.equal([x.isGone(), box.sockets.inFlight.count], [false, 2]);
  const got = box.recv(b).msg.files[0]!;
  assert.is(got, d);
  const inner = box.recv(got).msg.files[0]!;
  assert.is(inner, f);
  box.close(inner);
  box.close(got);
  assert.equal([x.isGone(), box.sockets.inFlight.count], [true, 0]);
});

test("a listener in the queue of a connection that it did not accept is closed", () => {
  const box = new SockBox(), s = box.server("\0sock"), c = box.socket(SOCK_STREAM), x = traveller(box);
  box.connect(c, "\0sock");
  box.send(c, "s", undefined, [s.hold(), x.w]);
  box.close(c);
  assert.is(x.isGone(), false);
  box.close(s);
  assert.equal([x.isGone(), s.refs, box.sockets.inFlight.count, box.bind(box.socket(SOCK_STREAM), "\0sock")], [true, 0, 0, 0]);
});

// ---- options and limits --------------------------------------------------------------------------------------------

const SO_RCVBUF = 8, SO_RCVTIMEO = 20, SO_SNDTIMEO = 21, SO_SNDBUFFORCE = 32;
const set = (box: SockBox, f: OpenFile, name: number, value: Int32Array | BigInt64Array): number =>
  box.sockets.setsockopt(f, SOL_SOCKET, name, new Uint8Array(value.buffer), box.me.mainThread);
const timeval = (sec: number, usec: number): BigInt64Array => BigInt64Array.of(BigInt(sec), BigInt(usec));

test("timeouts: receiving, accepting, connecting and sending end with EAGAIN; zero is for ever; they are told", () => {
  const box = new SockBox(), [a, b] = box.pair(SOCK_STREAM), s = box.server("/sock", SOCK_STREAM, 0), c = box.socket(SOCK_STREAM);
  assert.equal([set(box, a, SO_RCVTIMEO, timeval(1, 500_000)), box.option(a, SO_RCVTIMEO), box.option(a, SO_SNDTIMEO)], [0, [1, 0, 500_000, 0], [0, 0, 0, 0]]);
  const from = box.sched.timeNs;
  assert.equal([box.run(box.receiving(a, 1)).n, box.sched.timeNs - from], [-EAGAIN, 1.5e9]);
  assert.equal([set(box, a, SO_RCVTIMEO, timeval(0, 1_000_000)), set(box, a, SO_RCVTIMEO, timeval(0, -1)), set(box, a, SO_RCVTIMEO, Int32Array.of(1, 0))], [-EDOM, -EDOM, -EINVAL]);
  set(box, a, SO_RCVTIMEO, timeval(-5, 0));
  assert.equal([box.run(box.receiving(a, 1)).n, box.option(a, SO_RCVTIMEO)], [-EAGAIN, [0, 0, 0, 0]]);
  set(box, a, SO_RCVTIMEO, timeval(0, 0));
  assert.is(box.begin(box.receiving(a, 1)).interrupt()!.n, -EINTR);
  for (const f of [s, c, b]) for (const name of [SO_RCVTIMEO, SO_SNDTIMEO]) set(box, f, name, timeval(2, 0));
  assert.is(box.run(box.sockets.accept(s)), -EAGAIN);
  box.connect(box.socket(SOCK_STREAM), "/sock");
  assert.is(box.connect(c, "/sock"), -EAGAIN);
  assert.is(box.run(box.writing(b, "x".repeat(300_000))), 219_264);
  assert.is(box.run(box.writing(b, "x")), -EAGAIN);
});

test("read and write on a socket with a timeout end with EINTR after a signal, and are not made again", () => {
  const box = new SockBox(), t = box.me.mainThread, [a] = box.pair(SOCK_STREAM), fd = box.me.fds.alloc(a, 64, false);
  box.mapUser(1);
  const interruptedRead = (nr: number, count: number): number | undefined => box.begin(box.syscall(FILE_CALLS, nr, t, fd, USER_VA, count)).interrupt();
  box.poke(USER_VA, BigInt64Array.of(BigInt(USER_VA + 64), 1n));
  for (const [nr, count] of [[63, 1], [65, 1]] as const) {
    assert.is(interruptedRead(nr, count), -EINTR, "without a timeout the caller decides");
    set(box, a, SO_RCVTIMEO, timeval(5, 0));
    assert.equal([interruptedRead(nr, count), t.x[20]], [NO_RETURN, -EINTR]);
    set(box, a, SO_RCVTIMEO, timeval(0, 0));
  }
});

test("a sender pays for what nobody took: as many messages as on Linux, and room again at a quarter", () => {
  const fill = (type: number, n: number): number => {
    const box = new SockBox(), [a] = box.pair(type), what = "x".repeat(n);
    let count = 0;
    while (box.send(a, what) > 0) count++;
    return count;
  };
  assert.equal([1, 100, 1000, 10_000, 100_000].map((n) => fill(SOCK_STREAM, n)), [278, 278, 93, 17, 3]);
  for (const type of [SOCK_DGRAM, SOCK_SEQPACKET]) assert.equal([1, 100, 1000, 10_000, 100_000].map((n) => fill(type, n)), [278, 278, 93, 13, 3]);
  const box = new SockBox(), [a, b] = box.pair(SOCK_SEQPACKET);
  while (box.send(a, "x") > 0);
  let taken = 0;
  for (; (box.poll(a) & POLLOUT) === 0; taken++) box.recv(b);
  assert.equal([taken, box.send(a, "x".repeat(212_961)), box.poll(b) & POLLIN], [209, -EMSGSIZE, POLLIN]);
});

test("eleven datagrams of strangers may wait, then EAGAIN; the twelfth's sender sleeps", () => {
  const box = new SockBox(), to = box.socket(SOCK_DGRAM), from = box.socket(SOCK_DGRAM);
  box.bind(to, "/to");
  box.connect(from, "/to");
  for (let i = 0; i < 11; i++) assert.is(box.send(from, "x"), 1);
  assert.equal([box.send(from, "x"), box.poll(from)], [-EAGAIN, 0]);
  const call = box.begin(box.sending(from, "y"));
  assert.is(call.sleepsAt, "sosend");
  assert.ok(box.wakesPoller(from, () => box.recv(to)));
  box.sched.settle();
  assert.is(call.result, 1);
});

test("buffer sizes are doubled within limits, the superuser's also without", () => {
  const box = new SockBox(), [a] = box.pair(SOCK_STREAM);
  const sizes = [0, 2000, 2304, 100_000, 300_000, -1].map((n) => {
    set(box, a, SO_SNDBUF, Int32Array.of(n));
    set(box, a, SO_RCVBUF, Int32Array.of(n));
    return [box.option(a, SO_SNDBUF), box.option(a, SO_RCVBUF)].flat();
  });
  assert.equal(sizes, [[4608, 2304], [4608, 4000], [4608, 4608], [200_000, 200_000], [425_984, 425_984], [425_984, 425_984]]);
  assert.equal([set(box, a, SO_SNDBUFFORCE, Int32Array.of(3_000_000)), box.option(a, SO_SNDBUF)], [0, [6_000_000]]);
  box.me.cred = new Cred(1000);
  assert.equal([set(box, a, SO_SNDBUFFORCE, Int32Array.of(1)), set(box, a, 9999, Int32Array.of(1))], [-EPERM, -ENOPROTOOPT]);
});

test("the listener's credentials are those of listen; a peer that closed still has a name", () => {
  const box = new SockBox(), s = box.socket(SOCK_STREAM), c = box.socket(SOCK_STREAM), other = box.child();
  box.bind(s, "/sock");
  other.cred = new Cred(0, 0, 0, 9);
  box.sockets.listen(s, 1, other.mainThread);
  assert.equal([box.option(s, SO_PEERCRED), box.connect(c, "/sock"), box.option(c, SO_PEERCRED)], [[other.pid, 0, 9], 0, [other.pid, 0, 9]]);
  box.close(box.accept(s));
  assert.is(latin1(box.sockets.getpeername(c) as Uint8Array).slice(2), "/sock\0");
});

test("credentials: nobody's before anybody asked, one sender's bytes a read, an autobound name", () => {
  const box = new SockBox(), [a, b] = box.pair(SOCK_STREAM), d = box.socket(SOCK_DGRAM), to = box.socket(SOCK_DGRAM), other = { pid: 1, uid: 5, gid: 6 };
  box.send(a, "early");
  set(box, b, SO_PASSCRED, Int32Array.of(1));
  box.send(a, "mine");
  box.run(box.sending(a, "other", { creds: other }));
  const got = [0, 1, 2].map(() => box.recv(b));
  assert.equal(got.map((r) => r.text), ["early", "mine", "other"]);
  assert.equal(got.map((r) => r.msg.creds), [{ pid: 0, uid: 65534, gid: 65534 }, { pid: box.me.pid, uid: 0, gid: 0 }, other]);
  box.bind(to, "/to");
  set(box, d, SO_PASSCRED, Int32Array.of(1));
  assert.equal([box.send(d, "x", "/to"), box.name(d).length], [1, 6]);
});

test("out-of-band data is not supported, and says so", () => {
  const box = new SockBox(), [a] = box.pair(SOCK_STREAM);
  assert.is(box.run(box.sending(a, "x", { flags: 1 })), -EOPNOTSUPP);
});

test.run();
