// Standard input and output as byte streams of a console, and the escape keys of a terminal.
//
// Input from a regular file is read when the guest asks, so such runs repeat exactly. Input from pipes and terminals comes
// by events and waits here, a mebibyte at most. Output is written at once: what the guest said is out when it stops.
import { fstatSync, readSync, writeSync } from "node:fs";
import type { ByteStream } from "../../emu/dev/device.ts";

const WAITING_BYTES_MAX = 1 << 20;
const CTRL_A = 1, KEY_LEAVE = 0x78, KEY_DEBUG = 0x63;

/** What the keys after Ctrl-A ask for. */
export interface EscapeKeys {
  leave(): void;
  debug(): void;
}

/** Where console input comes from. */
export interface Input {
  /** As ByteStream.read. */
  read(into: Uint8Array): number;
  /** Called when there is something to read, or the end. */
  onReadable: (() => void) | null;
  /** Takes what is typed away from the guest, while it is set. */
  capture: ((bytes: Uint8Array) => void) | null;
  start(): void;
  stop(): void;
}

/** No input at all: its end comes at once. */
export class NoInput implements Input {
  onReadable: (() => void) | null = null;
  capture: ((bytes: Uint8Array) => void) | null = null;
  read(_into: Uint8Array): number {
    return -1;
  }
  start(): void {}
  stop(): void {}
}

/** A regular file as input. */
class FileInput implements Input {
  onReadable: (() => void) | null = null;
  capture: ((bytes: Uint8Array) => void) | null = null;
  private readonly fd: number;

  constructor(fd: number) {
    this.fd = fd;
  }

  read(into: Uint8Array): number {
    return into.length === 0 ? 0 : readSync(this.fd, into) || -1;
  }

  start(): void {
    this.onReadable?.();
  }

  stop(): void {}
}

/** A pipe or terminal as input. With `keys`, Ctrl-A is an escape. */
export class EventInput implements Input {
  onReadable: (() => void) | null = null;
  capture: ((bytes: Uint8Array) => void) | null = null;
  private readonly chunks: Uint8Array[] = [];
  private waitingBytes = 0;
  private ended = false;
  private escaped = false;
  private readonly keys: EscapeKeys | null;
  private readonly raw: boolean;

  constructor(keys: EscapeKeys | null) {
    this.keys = keys;
    // Without escape keys there must be the terminal's own: Ctrl-C, and Ctrl-D for the end.
    this.raw = keys !== null && process.stdin.isTTY === true;
  }

  start(): void {
    if (this.raw) process.stdin.setRawMode(true);
    process.stdin.on("data", (data: Uint8Array) => this.take(data));
    process.stdin.on("end", () => this.end());
    process.stdin.on("error", () => this.end());
  }

  stop(): void {
    if (this.raw) process.stdin.setRawMode(false);
    process.stdin.pause();
  }

  read(into: Uint8Array): number {
    const chunk = this.chunks[0];
    if (chunk === undefined) return this.ended ? -1 : 0;
    const n = Math.min(chunk.length, into.length);
    into.set(chunk.subarray(0, n));
    if (n === chunk.length) this.chunks.shift();
    else this.chunks[0] = chunk.subarray(n);
    this.waitingBytes -= n;
    if (this.waitingBytes < WAITING_BYTES_MAX) process.stdin.resume();
    return n;
  }

  private end(): void {
    this.ended = true;
    this.onReadable?.();
  }

  private take(data: Uint8Array): void {
    if (this.keys === null) this.deliver(data);
    else this.withoutEscapes(data, this.keys);
  }

  /** To whom input belongs at this moment: the debugger's prompt or the guest. */
  private deliver(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.capture !== null) return this.capture(bytes);
    this.chunks.push(bytes);
    this.waitingBytes += bytes.length;
    if (this.waitingBytes >= WAITING_BYTES_MAX) process.stdin.pause();
    this.onReadable?.();
  }

  /**
   * Ctrl-A x leaves, Ctrl-A c debugs, Ctrl-A Ctrl-A is one Ctrl-A, and others are swallowed.
   * What was typed before an escape is delivered before it acts: an escape changes whose the keys after it are.
   */
  private withoutEscapes(data: Uint8Array, keys: EscapeKeys): void {
    let kept: number[] = [];
    const act = (what: () => void): void => {
      this.deliver(Uint8Array.from(kept));
      kept = [];
      what();
    };
    for (const byte of data) {
      if (!this.escaped) {
        if (byte === CTRL_A) this.escaped = true;
        else kept.push(byte);
        continue;
      }
      this.escaped = false;
      if (byte === CTRL_A) kept.push(byte);
      else if (byte === KEY_LEAVE) act(() => keys.leave());
      else if (byte === KEY_DEBUG) act(() => keys.debug());
    }
    this.deliver(Uint8Array.from(kept));
  }
}

/** The input that standard input is. */
export function standardInput(keys: EscapeKeys | null): Input {
  let regular = false;
  try {
    regular = fstatSync(0).isFile();
  } catch {
    return new NoInput(); // closed
  }
  return regular ? new FileInput(0) : new EventInput(keys);
}

/** The reader of our output went away, as `head` does. */
export class OutputClosed extends Error {}
/** What a shell says of a program that SIGPIPE ended. */
export const EXIT_PIPE = 141;

/** Output cannot be written: a line for the user. */
export class OutputError extends Error {}
const NAMES = ["standard input", "standard output", "standard error"], REASONS: Readonly<Record<string, string>> = { ENOSPC: "no space left on the device", EBADF: "is closed" };

/** Writes all of it, waiting for a slow reader. => throws OutputClosed or OutputError */
export function writeOut(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(fd, bytes, done, bytes.length - done);
    } catch (e) {
      const { code } = e as NodeJS.ErrnoException;
      if (code === "EPIPE") throw new OutputClosed();
      if (code !== "EAGAIN") throw new OutputError(`${NAMES[fd] ?? `descriptor ${fd}`} cannot be written: ${REASONS[code ?? ""] ?? (e as Error).message}`);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

export const print = (text: string): void => writeOut(1, new TextEncoder().encode(text));

/** To standard error. That it cannot be written is nobody's concern. */
export function printError(text: string): void {
  try {
    writeOut(2, new TextEncoder().encode(text));
  } catch (e) {
    if (!(e instanceof OutputClosed) && !(e instanceof OutputError)) throw e;
  }
}

/** A console of the machine on an input and an output descriptor. Call `ready` after the machine has taken it. */
export class HostStream implements ByteStream {
  onReadable?: () => void;
  /** Nothing is written any more: the reader is gone, or `error` says what is wrong. */
  closed = false;
  error: OutputError | null = null;
  private readonly input: Input;
  private readonly fd: number;

  constructor(input: Input, fd: number) {
    this.input = input;
    this.fd = fd;
  }

  read(into: Uint8Array): number {
    return this.input.read(into);
  }

  write(bytes: Uint8Array): void {
    if (this.closed) return;
    try {
      writeOut(this.fd, bytes);
    } catch (e) {
      if (e instanceof OutputError) this.error = e;
      else if (!(e instanceof OutputClosed)) throw e;
      this.closed = true;
    }
  }
}
