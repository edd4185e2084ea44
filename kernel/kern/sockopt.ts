// Options of level SOL_SOCKET, answered as Linux does for AF_UNIX.
import { EDOM, EINVAL, ENOPROTOOPT, EPERM } from "../lib/errno.ts";
import { AF_UNIX, BUFFER_MAX, type Socket } from "./socket.ts";

export const SOL_SOCKET = 1, SO_REUSEADDR = 2, SO_TYPE = 3, SO_ERROR = 4, SO_SNDBUF = 7, SO_RCVBUF = 8, SO_KEEPALIVE = 9, SO_PRIORITY = 12;
export const SO_LINGER = 13, SO_REUSEPORT = 15, SO_PASSCRED = 16, SO_PEERCRED = 17, SO_RCVTIMEO = 20, SO_SNDTIMEO = 21, SO_ACCEPTCONN = 30;
export const SO_SNDBUFFORCE = 32, SO_RCVBUFFORCE = 33, SO_PROTOCOL = 38, SO_DOMAIN = 39;
const SO_RCVTIMEO_NEW = 66, SO_SNDTIMEO_NEW = 67, SO_DONTROUTE = 5, SO_BROADCAST = 6, SO_OOBINLINE = 10;
/** Least sizes of buffers, and the largest number that can be doubled. */
const SNDBUF_MIN = 4608, RCVBUF_MIN = 2304, HALF_INT = 0x3fffffff;

/** Options without a meaning for local sockets: kept as whether they are set, or as their number. */
const KEPT = new Set([SO_REUSEADDR, SO_REUSEPORT, SO_KEEPALIVE, SO_DONTROUTE, SO_BROADCAST, SO_OOBINLINE]);

const view = (value: Uint8Array): DataView => new DataView(value.buffer, value.byteOffset, value.byteLength);

/** A struct timeval as ns: zero is for ever, before zero is at once. => Infinity, or -EINVAL, -EDOM */
function timeoutIn(value: Uint8Array): number {
  if (value.length < 16) return -EINVAL;
  const d = view(value), sec = Number(d.getBigInt64(0, true)), usec = Number(d.getBigInt64(8, true));
  if (usec < 0 || usec >= 1e6) return -EDOM;
  if (sec < 0) return 0;
  return sec === 0 && usec === 0 ? Infinity : sec * 1e9 + usec * 1000;
}

function timeoutBytes(ns: number): Uint8Array {
  const isNone = ns === Infinity, sec = isNone ? 0 : Math.floor(ns / 1e9);
  return new Uint8Array(BigInt64Array.of(BigInt(sec), isNone ? 0n : BigInt(Math.floor((ns - sec * 1e9) / 1000))).buffer);
}

/** Linux doubles what it is told, for its own bookkeeping. */
const doubled = (n: number, least: number): number => Math.max(least, 2 * Math.min(n, HALF_INT));

/** => 0; -EINVAL, -EDOM, -EPERM, -ENOPROTOOPT */
export function setSocketOption(s: Socket, name: number, value: Uint8Array, isRoot: boolean): number {
  if (value.length < 4) return -EINVAL;
  const n = view(value).getInt32(0, true);
  // A negative size is a very large one.
  const size = n < 0 ? BUFFER_MAX : Math.min(n, BUFFER_MAX);
  switch (name) {
    case SO_SNDBUF: s.sndbuf = doubled(size, SNDBUF_MIN); return 0;
    case SO_RCVBUF: s.rcvbuf = doubled(size, RCVBUF_MIN); return 0;
    case SO_SNDBUFFORCE: case SO_RCVBUFFORCE:
      if (!isRoot) return -EPERM;
      if (name === SO_SNDBUFFORCE) s.sndbuf = doubled(Math.max(0, n), SNDBUF_MIN);
      else s.rcvbuf = doubled(Math.max(0, n), RCVBUF_MIN);
      return 0;
    case SO_RCVTIMEO: case SO_RCVTIMEO_NEW: case SO_SNDTIMEO: case SO_SNDTIMEO_NEW: {
      const ns = timeoutIn(value);
      if (ns < 0) return ns;
      if (name === SO_RCVTIMEO || name === SO_RCVTIMEO_NEW) s.rcvTimeoutNs = ns;
      else s.sndTimeoutNs = ns;
      return 0;
    }
    case SO_PASSCRED: s.passCreds = n !== 0; return 0;
    case SO_LINGER: return value.length < 8 ? -EINVAL : 0;
    case SO_PRIORITY:
      if ((n < 0 || n > 6) && !isRoot) return -EPERM;
      s.kept.set(name, n);
      return 0;
    case SO_TYPE: case SO_ERROR: case SO_PROTOCOL: case SO_DOMAIN: return -ENOPROTOOPT;
    default:
      if (!KEPT.has(name)) return -ENOPROTOOPT;
      s.kept.set(name, n === 0 ? 0 : 1);
      return 0;
  }
}

/** => its bytes; -ENOPROTOOPT */
export function getSocketOption(s: Socket, name: number): Uint8Array | number {
  const ints = (...v: number[]): Uint8Array => new Uint8Array(Int32Array.from(v).buffer);
  switch (name) {
    case SO_TYPE: return ints(s.type);
    case SO_DOMAIN: return ints(AF_UNIX);
    case SO_PROTOCOL: return ints(0);
    case SO_ERROR: {
      const { error } = s;
      s.error = 0;
      return ints(error);
    }
    case SO_SNDBUF: return ints(s.sndbuf);
    case SO_RCVBUF: return ints(s.rcvbuf);
    case SO_RCVTIMEO: case SO_RCVTIMEO_NEW: return timeoutBytes(s.rcvTimeoutNs);
    case SO_SNDTIMEO: case SO_SNDTIMEO_NEW: return timeoutBytes(s.sndTimeoutNs);
    case SO_ACCEPTCONN: return ints(s.pending ? 1 : 0);
    case SO_PASSCRED: return ints(s.passCreds ? 1 : 0);
    case SO_PEERCRED: return ints(s.peerCreds.pid, s.peerCreds.uid, s.peerCreds.gid);
    case SO_LINGER: return ints(0, 0);
    default: return KEPT.has(name) || name === SO_PRIORITY ? ints(s.kept.get(name) ?? 0) : -ENOPROTOOPT;
  }
}

