// A socket: what every socket has, whoever carries its bytes. The operations of AF_UNIX are in unixsock.ts.
//
//   Socket ── peer ⇄ peer ── Socket          rcv: SockBuf ─► Mbuf ─► Mbuf …
//      └── name: a VSOCK vnode's `special`, or an abstract name (unixname.ts)
//
// A peer that closed stays the peer: its name can still be asked for, and a datagram finds out when it is sent.
import { latin1 } from "../uvm/uio.ts";
import type { Vnode } from "../vfs/vnode.ts";
import type { AnonInode } from "./anoninode.ts";
import { type OpenFile, PollQueue } from "./file.ts";
import type { Thread } from "./proc.ts";
import { type Creds, SockBuf } from "./sockbuf.ts";

export const AF_UNSPEC = 0, AF_UNIX = 1, SOCK_STREAM = 1, SOCK_DGRAM = 2, SOCK_SEQPACKET = 5;
export const MSG_OOB = 1, MSG_PEEK = 2, MSG_CTRUNC = 8, MSG_TRUNC = 0x20, MSG_DONTWAIT = 0x40, MSG_WAITALL = 0x100, MSG_NOSIGNAL = 0x4000;
export const SHUT_RD = 0, SHUT_WR = 1, SHUT_RDWR = 2;
/** net.core.wmem_default and wmem_max; net.unix.max_dgram_qlen; net.core.somaxconn. */
export const BUFFER_BYTES = 212992, BUFFER_MAX = 212992, DGRAM_QLEN = 10, SOMAXCONN = 4096;

export class Socket {
  readonly type: number;
  readonly ino: number;
  /** sockaddr of this end: family, and the name once it has one. */
  name: Uint8Array = Uint8Array.of(AF_UNIX, 0);
  /** The vnode that bind made, referenced. */
  vnode: Vnode | null = null;
  peer: Socket | null = null;
  /** A stream once had a peer. */
  wasConnected = false;
  /** Connections that nobody accepted yet; null: not listening. */
  pending: Socket[] | null = null;
  /** listen's limit; of datagrams how many more than one may wait. */
  backlog = DGRAM_QLEN;
  readonly rcv = new SockBuf();
  /** What its messages that nobody took cost. */
  charged = 0;
  sndbuf = BUFFER_BYTES;
  rcvbuf = BUFFER_BYTES;
  /** SO_RCVTIMEO and SO_SNDTIMEO; Infinity: none, 0: never wait. */
  rcvTimeoutNs = Infinity;
  sndTimeoutNs = Infinity;
  isReadShut = false;
  isWriteShut = false;
  isClosed = false;
  error = 0;
  passCreds = false;
  /** Options that are kept and told, and change nothing here. */
  readonly kept = new Map<number, number>();
  /** What fstat tells, once somebody asked. */
  inode: AnonInode | null = null;
  /** Who made it, for fstat. */
  owner: Creds = { pid: 0, uid: 0, gid: 0 };
  /** SO_PEERCRED; of a listener who listens, which is what its connections' clients are told. */
  peerCreds: Creds = { pid: 0, uid: -1, gid: -1 };
  /** Something to receive or accept. */
  readonly readable = new PollQueue();
  /** Its charge went down, or (datagrams) its receive queue is no longer full. */
  readonly writable = new PollQueue();

  constructor(type: number, ino: number) {
    this.type = type;
    this.ino = ino;
  }

  get isStream(): boolean {
    return this.type === SOCK_STREAM;
  }

  get isDatagram(): boolean {
    return this.type === SOCK_DGRAM;
  }

  get isBound(): boolean {
    return this.name.length > 2;
  }

  get path(): string {
    return latin1(this.name.subarray(2));
  }

  /** Nothing more will come: this half was shut here or there, or the connection is gone. */
  get isInputOver(): boolean {
    return this.isReadShut || (!this.isDatagram && this.wasConnected && (!this.peer || this.peer.isClosed || this.peer.isWriteShut));
  }

  /** Nothing can be sent any more. */
  get isOutputOver(): boolean {
    return this.isWriteShut || (!this.isDatagram && this.wasConnected && (!this.peer || this.peer.isClosed || this.peer.isReadShut));
  }

  /** Room enough that who waits to send is told: a quarter is in use at most. */
  get hasSendRoom(): boolean {
    return 4 * this.charged <= this.sndbuf;
  }

  /** No more datagrams from others than its peer may wait here. */
  isFullFor(sender: Socket): boolean {
    return this.isDatagram && this !== sender && this.peer !== sender && this.rcv.mbufs.length > this.backlog;
  }
}

export const socketOf = (f: OpenFile): Socket => f.data as Socket;
/** Effective ids, for SO_PEERCRED. */
export const credsOf = (t: Thread): Creds => ({ pid: t.proc.pid, uid: t.proc.cred.euid, gid: t.proc.cred.egid });
/** Real ids, for messages. */
export const realCredsOf = (t: Thread): Creds => ({ pid: t.proc.pid, uid: t.proc.cred.uid, gid: t.proc.cred.gid });
/** Whoever sent before anybody asked for credentials: nobody. */
export const NO_CREDS: Creds = { pid: 0, uid: 65534, gid: 65534 };
