// Runs the built command as a person would, in a process of its own.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface CliResult {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** A limit for the host's sake only; what is measured are guest instructions. */
const HOST_LIMIT_MS = 60_000;

/** => what `loanword ARGS` said and its status */
export function loanword(args: readonly string[], input: string | Uint8Array = ""): CliResult {
  const r = spawnSync(process.execPath, ["build/tools/cli.main.mjs", ...args], { input, encoding: "latin1", timeout: HOST_LIMIT_MS });
  return { status: r.status, stdout: r.stdout, stderr: r.stderr };
}

/** A folder of files that goes away with the process. */
export class Scratch {
  readonly dir = mkdtempSync(join(tmpdir(), "loanword-test-"));

  constructor() {
    process.on("exit", () => rmSync(this.dir, { recursive: true, force: true }));
  }

  /** Writes a file. => its path */
  file(name: string, bytes: Uint8Array | string): string {
    const path = join(this.dir, name);
    writeFileSync(path, bytes);
    return path;
  }
}
