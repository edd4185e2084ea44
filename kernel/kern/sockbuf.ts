// The bytes between two sockets: a receive queue of mbufs, and what they cost their sender.
//
//   sender.charged += cost ─► [ Mbuf | Mbuf | Mbuf ] ─► receiver takes ─► sender.charged -= cost
//
// As on Linux the sender pays: a send waits while the sender's messages that nobody has taken yet cost as much as its SO_SNDBUF.
// A message costs more than its bytes, so that many small ones cannot fill memory either: what an skb of it would take.
import type { OpenFile } from "./file.ts";
import type { Socket } from "./socket.ts";

/** Who sent: pid, real uid and gid, as SCM_CREDENTIALS has them. */
export interface Creds { readonly pid: number; readonly uid: number; readonly gid: number }

/** A piece of a receive queue: some bytes of a stream, or one message. */
export interface Mbuf {
  readonly bytes: Uint8Array;
  /** How many of them were taken. */
  at: number;
  /** Address of the sender; empty when it has no name. */
  readonly from: Uint8Array;
  /** Descriptors that travel with it: a reference each, counted as in flight. */
  files: OpenFile[];
  /** null: neither end wanted any when it was sent. */
  readonly creds: Creds | null;
  readonly sender: Socket;
  readonly cost: number;
}

const PAGE = 4096, SKB_OVERHEAD = 256, SHARED_INFO = 320, HEAD_OF_PAGE = PAGE - SHARED_INFO, MAX_LINEAR = 4 * PAGE - SHARED_INFO, MAX_FRAG_BYTES = 17 * PAGE;
/** The largest piece of a stream. */
export const STREAM_PIECE = HEAD_OF_PAGE + 8 * PAGE;

const pages = (n: number): number => Math.ceil(n / PAGE) * PAGE;

/** Memory of a buffer of n bytes: powers of two from 512 up. */
const bucket = (n: number): number => Math.max(512, 2 ** Math.ceil(Math.log2(n)));

/** What a piece or message of this many bytes costs its sender. */
export function mbufCost(lenBytes: number, isStream: boolean): number {
  const inPages = isStream ? Math.min(lenBytes, pages(Math.max(0, lenBytes - HEAD_OF_PAGE))) : Math.min(Math.max(0, lenBytes - MAX_LINEAR), MAX_FRAG_BYTES);
  return bucket(lenBytes - inPages + SHARED_INFO) + SKB_OVERHEAD + pages(inPages);
}

/** What waits to be received by one socket. */
export class SockBuf {
  readonly mbufs: Mbuf[] = [];
  /** Bytes that were not taken. */
  lenBytes = 0;

  get isEmpty(): boolean {
    return this.mbufs.length === 0;
  }

  /** FIONREAD of datagrams: the first message. */
  get firstBytes(): number {
    const m = this.mbufs[0];
    return m ? m.bytes.length - m.at : 0;
  }

  put(m: Mbuf): void {
    this.mbufs.push(m);
    this.lenBytes += m.bytes.length;
    m.sender.charged += m.cost;
  }

  /** Takes n bytes of an mbuf; with the last it leaves the queue. => whether it left; its sender then has room */
  consume(m: Mbuf, n: number): boolean {
    m.at += n;
    this.lenBytes -= n;
    const at = this.mbufs.indexOf(m);
    if (m.at < m.bytes.length || at < 0) return false;
    this.mbufs.splice(at, 1);
    m.sender.charged -= m.cost;
    return true;
  }

  /** Empties it. => what was there */
  flush(): Mbuf[] {
    for (const m of this.mbufs) m.sender.charged -= m.cost;
    this.lenBytes = 0;
    return this.mbufs.splice(0);
  }
}
