#!/usr/bin/env node
// The `loanword` command: sets up and builds what is missing, then hands over to the built program. Plain JavaScript,
// because it runs before anything is built.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { installPackages, root } from "./setup.mjs";
import { isStale } from "./stale.mjs";

const built = join(root, "build", "tools", "cli.main.mjs");

/** Runs the command line program with these arguments, after whatever set-up it needs. */
export async function loanword(argv) {
  installPackages();
  if (!existsSync(built) || isStale(root)) {
    console.error("building loanword (once)");
    const { buildTools } = await import("./build.mjs");
    await buildTools();
  }
  process.argv.splice(2, Infinity, ...argv);
  await import(pathToFileURL(built).href);
}

if (process.argv[1] && fileURLToPath(import.meta.url) === (await import("node:fs")).realpathSync(process.argv[1])) await loanword(process.argv.slice(2));
