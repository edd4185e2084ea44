// The page: a terminal of plain text on a guest in a Worker, and `loanword.run` for scripts and for tests.
//
//   /                     boots to a shell
//   /?c=CMD&engine=interp runs one command
import type { Boot, GuestFile, Progress, ToPage, ToWorker } from "../protocol.ts";
import { Screen } from "./screen.ts";

const INIT = "/sbin/init", ROWS = 24, COLUMNS = 80, RAM_BYTES = 64 << 20;

/** What a script may leave out of a Boot; strings have a byte a character. */
interface RunRequest {
  readonly command?: string;
  readonly init?: readonly string[];
  readonly stdin?: string;
  /** Path to base64. */
  readonly files?: Readonly<Record<string, string>>;
  readonly engine?: Boot["engine"];
  readonly epochSeconds?: number;
  readonly seed?: number;
  readonly ramBytes?: number;
}

interface RunReport extends Omit<Progress, "type"> {
  readonly status: number;
  readonly panic: string | null;
  readonly out: string;
  readonly err: string;
}

const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));
const textOf = (parts: readonly Uint8Array[]): string => parts.map((p) => Array.from(p, (b) => String.fromCharCode(b)).join("")).join("");

/** Settings that every run of this page begins with. */
const DEFAULTS: Omit<Boot, "init" | "streams"> = {
  type: "boot", diskUrl: new URL("root.img.gz", document.baseURI).href, files: [], stdin: new Uint8Array(0), engine: "jit", clock: "host",
  epochSeconds: Math.floor(Date.now() / 1000), seed: 1, ramBytes: RAM_BYTES, rows: ROWS, columns: COLUMNS,
};

/** A Worker with a guest. => send to it; the Worker, to end it */
function startWorker(boot: Boot, heard: (message: ToPage) => void): Worker {
  const worker = new Worker("worker.js");
  worker.onmessage = ({ data }: MessageEvent<ToPage>) => heard(data);
  worker.onerror = (e) => heard({ type: "failure", message: `${e.message} (${e.filename}:${e.lineno})` });
  worker.postMessage(boot satisfies ToWorker);
  return worker;
}

/** Runs one command or program to its end, in virtual time: the same request gives the same report. */
function run(request: RunRequest): Promise<RunReport> {
  const { command, init, stdin, files, ...rest } = request, out: Uint8Array[] = [], err: Uint8Array[] = [];
  const boot: Boot = {
    ...DEFAULTS, ...rest, clock: "virtual", streams: "ports", init: init ?? [INIT, "-c", command ?? "true"], stdin: bytesOf(stdin ?? ""),
    files: Object.entries(files ?? {}).map(([path, data]) => ({ path, data: bytesOf(atob(data)) })),
  };
  return new Promise((done, failed) => {
    const worker = startWorker(boot, (m) => {
      if (m.type === "output") (m.stream === 1 ? out : err).push(m.bytes);
      if (m.type === "failure") failed(new Error(m.message));
      if (m.type === "exit") done({ status: m.status, panic: m.panic, out: textOf(out), err: textOf(err), instructions: m.instructions, virtualNs: m.virtualNs, hostMs: m.hostMs, engine: m.engine });
      if (m.type === "exit" || m.type === "failure") worker.terminate();
    });
  });
}

const find = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;

/** The terminal and the controls around it. */
class Desk {
  private readonly terminal = find<HTMLPreElement>("terminal");
  private readonly status = find<HTMLElement>("status");
  private readonly line = find<HTMLInputElement>("line");
  private readonly engine = find<HTMLSelectElement>("engine");
  private worker: Worker | null = null;
  private screen = new Screen();
  private last: Progress | null = null;
  private drawing = false;

  constructor() {
    find<HTMLFormElement>("form").onsubmit = (e) => {
      e.preventDefault();
      this.send(new TextEncoder().encode(`${this.line.value}\n`));
      this.line.value = "";
    };
    for (const button of document.querySelectorAll<HTMLButtonElement>("[data-key]")) button.onclick = () => this.send(Uint8Array.of(Number(button.dataset["key"])));
    this.line.onkeydown = (e) => {
      if (!e.ctrlKey || (e.key !== "c" && e.key !== "d") || this.line.selectionStart !== this.line.selectionEnd) return;
      e.preventDefault();
      this.send(Uint8Array.of(e.key === "c" ? 3 : 4));
    };
    find("restart").onclick = () => this.start([INIT]);
    this.engine.onchange = () => this.start([INIT]);
    const program = find<HTMLInputElement>("program");
    program.onchange = () => {
      const file = program.files?.[0];
      if (file !== undefined) void this.runFile(file);
      program.value = "";
    };
  }

  /** What the address of the page asks for. */
  startAsAsked(query: URLSearchParams): void {
    const engine = query.get("engine"), command = query.get("c");
    if (engine !== null && [...this.engine.options].some((o) => o.value === engine)) this.engine.value = engine;
    this.start(command === null ? [INIT] : [INIT, "-c", command]);
  }

  private async runFile(file: File): Promise<void> {
    this.start([INIT, "-e", `/host/${file.name}`], [{ path: `host/${file.name}`, data: new Uint8Array(await file.arrayBuffer()) }]);
  }

  private start(init: readonly string[], files: readonly GuestFile[] = []): void {
    this.worker?.terminate();
    this.screen = new Screen();
    this.last = null;
    this.worker = startWorker({ ...DEFAULTS, init, files, streams: "console", engine: this.engine.value as Boot["engine"] }, (m) => this.heard(m));
    this.draw();
    this.line.focus();
  }

  private send(bytes: Uint8Array): void {
    this.worker?.postMessage({ type: "input", bytes } satisfies ToWorker);
  }

  private heard(m: ToPage): void {
    if (m.type === "output") this.show(m.bytes);
    else if (m.type === "progress") this.tell(m);
    else if (m.type === "failure") this.end(m.message, true);
    else {
      this.tell({ ...m, type: "progress" });
      this.end(m.panic === null ? `the guest has ended with exit status ${m.status}; restart boots it again` : `the kernel stopped at a bug of its own: ${m.panic}`, m.panic !== null);
    }
  }

  private show(bytes: Uint8Array): void {
    this.screen.write(bytes);
    this.draw();
  }

  /** Once a frame is enough. */
  private draw(): void {
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      this.terminal.textContent = this.screen.text;
      this.terminal.scrollTop = this.terminal.scrollHeight;
    });
  }

  private end(message: string, isBad: boolean): void {
    this.worker?.terminate();
    this.worker = null;
    const note = document.createElement("span");
    note.textContent = message;
    if (isBad) note.className = "bad";
    this.status.append(note);
  }

  /** The line of figures. */
  private tell(p: Progress): void {
    const before = this.last ?? { instructions: 0, hostMs: 0 }, ms = p.hostMs - before.hostMs, mips = ms > 0 ? (p.instructions - before.instructions) / ms / 1000 : 0;
    this.last = p;
    const e = p.engine, figures: [string, string][] = [["instructions", p.instructions.toLocaleString("en")], ["MIPS now", mips.toFixed(mips < 10 ? 1 : 0)]];
    if (e === null) figures.push(["translated", "nothing"]);
    else figures.push(["translated", `${e["regions"]} regions, ${((e["wasmBytes"] ?? 0) / 1024).toFixed(0)} KiB of WebAssembly`],
      ["in", `${(e["compileMs"] ?? 0).toFixed(0)} ms, ${(e["longestMs"] ?? 0).toFixed(1)} at most at once`]);
    this.status.replaceChildren(...figures.map(([name, value]) => {
      const span = document.createElement("span"), b = document.createElement("b");
      b.textContent = value;
      span.append(`${name} `, b);
      return span;
    }));
  }
}

Object.assign(globalThis, { loanword: { run } });
const query = new URLSearchParams(location.search);
if (!query.has("idle")) new Desk().startAsAsked(query);
