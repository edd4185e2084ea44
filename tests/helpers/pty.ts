// A command on a pseudo-terminal, driven as a person would: types when the screen shows what is waited for. Node has no
// pseudo-terminals of its own, so python3 or `script` makes one.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** For the host's sake only. */
const HOST_LIMIT_MS = 30_000, LOOK_MS = 20;

const works = (command: string, args: readonly string[]): boolean => spawnSync(command, args, { stdio: "ignore" }).status === 0;

/** Who makes pseudo-terminals here. => "" no one */
export function ptyMaker(): "python3" | "script" | "" {
  if (!works("stty", ["--version"])) return "";
  return works("python3", ["-c", "import pty"]) ? "python3" : works("script", ["--version"]) ? "script" : "";
}

export class PtySession {
  /** What appeared since `types` was last called. */
  screen = "";
  private readonly child: ChildProcess;
  private readonly dir: string;
  private ended = false;

  /** Runs a command line of the shell. `dir` gets stty's answers before and after it. */
  constructor(maker: "python3" | "script", commandLine: string, dir: string) {
    this.dir = dir;
    const shell = `tty > '${dir}/tty'; stty rows 30 cols 100; stty -a > '${dir}/before'; ${commandLine}; echo "left with $?"; stty -a > '${dir}/after'`;
    const [command, args] = maker === "python3" ? ["python3", ["-c", "import pty, sys; pty.spawn(sys.argv[1:])", "sh", "-c", shell]]
      : ["script", ["-q", "-e", "-c", shell, "/dev/null"]] as const;
    this.child = spawn(command as string, args as string[], { stdio: ["pipe", "pipe", "inherit"] });
    this.child.stdout!.on("data", (b: Buffer) => { this.screen += b.toString("latin1"); });
    this.child.on("close", () => { this.ended = true; });
  }

  /** Waits until the screen matches. */
  async sees(pattern: RegExp): Promise<void> {
    for (let waited = 0; !pattern.test(this.screen); waited += LOOK_MS) {
      if (waited > HOST_LIMIT_MS || this.ended) throw new Error(`not seen: ${pattern}${this.ended ? ", and it ended" : ""}\n${JSON.stringify(this.screen)}`);
      await sleep(LOOK_MS);
    }
  }

  types(text: string): void {
    this.screen = "";
    this.child.stdin!.write(Buffer.from(text, "latin1"));
  }

  /** Gives the terminal another size. */
  resize(rows: number, cols: number): void {
    const r = spawnSync("stty", ["-F", readFileSync(join(this.dir, "tty"), "latin1").trim(), "rows", String(rows), "cols", String(cols)], { encoding: "latin1" });
    if (r.status !== 0) throw new Error(`stty: ${r.stderr}`);
  }

  /** Waits for the end. => what `stty -a` said before and after */
  async settings(): Promise<{ before: string; after: string }> {
    for (let waited = 0; !this.ended && waited < HOST_LIMIT_MS; waited += LOOK_MS) await sleep(LOOK_MS);
    const text = (name: string): string => readFileSync(join(this.dir, name), "latin1");
    return { before: text("before"), after: text("after") };
  }

  stop(): void {
    if (!this.ended) this.child.kill("SIGKILL");
  }
}
