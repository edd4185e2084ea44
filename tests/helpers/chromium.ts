// Headless Chromium, told what to do over DevTools' pipe: JSON texts that end in NUL, on descriptors 3 and 4 of its process.
// No library and no port. The browser and its profile go away with `close`, and in any case with our process.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";

const NAMES = ["chromium", "chromium-browser", "google-chrome"] as const;
/** For a browser that hangs: no measure of anything. */
const ANSWER_MS_MAX = 120_000;

/** => the command, or "" and why there is none */
export function findChromium(): { command: string; why: string } {
  for (const command of NAMES) {
    const r = spawnSync(command, ["--version"], { encoding: "utf8" });
    if (r.status === 0 && /\d+\./.test(r.stdout)) return { command, why: "" };
  }
  return { command: "", why: `none of ${NAMES.join(", ")} runs here` };
}

interface Answer { readonly id?: number; readonly method?: string; readonly sessionId?: string; readonly result?: Record<string, unknown>; readonly error?: { readonly message: string } }

export class Chromium {
  private readonly profile = mkdtempSync(join(tmpdir(), "loanword-chromium-"));
  private readonly child: ChildProcess;
  private readonly waiting = new Map<number, { done: (result: Record<string, unknown>) => void; failed: (e: Error) => void }>();
  private readonly kill = (): void => this.remove();
  private lastId = 0;
  private session: string | undefined;
  private said = "";
  private onLoaded: () => void = () => {};

  /** Nothing here changes what a page may do: no switch of V8, and no relaxed security. The sandbox does not work for root. */
  constructor(command: string) {
    const root = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
    this.child = spawn(command, [...root, "--headless=new", "--remote-debugging-pipe", `--user-data-dir=${this.profile}`, "--no-first-run", "--no-default-browser-check",
      "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio", "--window-size=1000,640", "about:blank"],
    { stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"], detached: true });
    process.once("exit", this.kill);
    this.child.stderr?.on("data", (d: Buffer) => (this.said = (this.said + d.toString()).slice(-4000)));
    this.child.on("close", (code, signal) => this.fail(new Error(`chromium ended (${code ?? signal}): ${this.said}`)));
    this.child.on("error", (e) => this.fail(e));
    this.child.stdio[3]?.on("error", () => {});
    let text = "";
    (this.child.stdio[4] as Readable).setEncoding("utf8").on("data", (data: string) => {
      const parts = (text + data).split("\0");
      text = parts.pop()!;
      for (const part of parts) this.heard(JSON.parse(part) as Answer);
    });
  }

  private fail(e: Error): void {
    for (const { failed } of this.waiting.values()) failed(e);
    this.waiting.clear();
  }

  private heard({ id, method, sessionId, result, error }: Answer): void {
    if (method === "Page.loadEventFired" && sessionId === this.session) this.onLoaded();
    const waiter = id === undefined ? undefined : this.waiting.get(id);
    if (waiter === undefined) return;
    this.waiting.delete(id!);
    if (error === undefined) waiter.done(result ?? {});
    else waiter.failed(new Error(`chromium: ${error.message}`));
  }

  /** One command of the DevTools protocol. */
  send(method: string, params: object = {}): Promise<Record<string, unknown>> {
    const id = ++this.lastId;
    return new Promise((done, failed) => {
      const timer = setTimeout(() => failed(new Error(`chromium: no answer to ${method} after ${ANSWER_MS_MAX} ms: ${this.said}`)), ANSWER_MS_MAX);
      const after = <T>(f: (value: T) => void) => (value: T) => (clearTimeout(timer), f(value));
      this.waiting.set(id, { done: after(done), failed: after(failed) });
      (this.child.stdio[3] as Writable).write(`${JSON.stringify({ id, method, params, ...(this.session === undefined ? {} : { sessionId: this.session }) })}\0`);
    });
  }

  /** Opens a page, which the following is about. => once it is loaded */
  async open(url: string): Promise<void> {
    this.session = undefined;
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    this.session = sessionId as string;
    // The empty page's own end of loading is not to be taken for that of ours.
    await this.evaluate("new Promise((done) => document.readyState === 'complete' ? done() : addEventListener('load', () => done()))");
    await this.send("Page.enable");
    const loaded = new Promise<void>((done) => this.onLoaded = done);
    const { errorText } = await this.send("Page.navigate", { url });
    if (errorText !== undefined) throw new Error(`chromium: ${url}: ${String(errorText)}`);
    await loaded;
  }

  /** The value of an expression in the page, awaited. => throws what it throws */
  async evaluate(expression: string): Promise<unknown> {
    const r = await this.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true }) as {
      result: { value?: unknown }; exceptionDetails?: { text: string; exception?: { description?: string } };
    };
    if (r.exceptionDetails !== undefined) throw new Error(`in the page: ${r.exceptionDetails.exception?.description ?? r.exceptionDetails.text}`);
    return r.result.value;
  }

  /** A picture of the page, as PNG. */
  async screenshot(path: string): Promise<void> {
    const { data } = await this.send("Page.captureScreenshot", { format: "png" });
    writeFileSync(path, Buffer.from(data as string, "base64"));
  }

  private remove(): void {
    // Its own process group: the browser's helpers go with it.
    try {
      if (this.child.pid !== undefined) process.kill(-this.child.pid, "SIGKILL");
    } catch {
      // It has ended already.
    }
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }

  async close(): Promise<void> {
    const ended = this.child.exitCode !== null || this.child.signalCode !== null ? Promise.resolve() : new Promise((done) => this.child.once("close", done));
    this.waiting.clear();
    this.remove();
    await ended;
    process.removeListener("exit", this.kill);
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }
}
