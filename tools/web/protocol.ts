// What a page and its Worker say to each other. The machine lives in the Worker; the page shows what it prints.
//
//   page ── Boot, then Input ──►  Worker
//   page ◄── Output, Progress, then Exit or Failure ──  Worker
//
// One Worker runs one guest: to begin anew, or to stop, end the Worker.

export interface GuestFile {
  /** Without a leading slash. */
  readonly path: string;
  readonly data: Uint8Array;
}

/** Everything that a run depends on: with clock "virtual" the same request is the same run, to the instruction. */
export interface Boot {
  readonly type: "boot";
  /** Where the root disk is, gzipped. */
  readonly diskUrl: string;
  /** Program and arguments of process 1. */
  readonly init: readonly string[];
  /** Programs, put into the guest's file system and executable. */
  readonly files: readonly GuestFile[];
  /** "console": the guest has a terminal; "ports": standard streams, with all of the input given. */
  readonly streams: "console" | "ports";
  readonly stdin: Uint8Array;
  readonly engine: "jit" | "interp" | "check";
  readonly clock: "host" | "virtual";
  readonly epochSeconds: number;
  readonly seed: number;
  readonly ramBytes: number;
  readonly rows: number;
  readonly columns: number;
}

/** Keys that were pressed, or the end of the input. */
export interface Input { readonly type: "input"; readonly bytes: Uint8Array }

/** What the guest printed: 1 its terminal or standard output, 2 standard error. */
export interface Output { readonly type: "output"; readonly stream: 1 | 2; readonly bytes: Uint8Array }

/** Counters of the translator; see emu/jit/engine.ts. */
export type EngineStats = Readonly<Record<string, number>>;

export interface Progress {
  readonly type: "progress";
  readonly instructions: number;
  readonly virtualNs: number;
  readonly hostMs: number;
  /** Null: everything is interpreted. */
  readonly engine: EngineStats | null;
}

export interface Exit extends Omit<Progress, "type"> {
  readonly type: "exit";
  /** 255 after a panic. */
  readonly status: number;
  readonly panic: string | null;
}

/** The run cannot begin or go on, by no fault of the guest. */
export interface Failure { readonly type: "failure"; readonly message: string }

export type ToWorker = Boot | Input;
export type ToPage = Output | Progress | Exit | Failure;
