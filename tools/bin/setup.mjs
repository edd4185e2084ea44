// What a fresh checkout needs before anything can be built: the npm packages of the lock file.
import { existsSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

/** Installs node_modules when they are missing or older than the lock file. Exits with a message on failure. */
export function installPackages() {
  const mark = join(root, "node_modules", ".package-lock.json"), lock = join(root, "package-lock.json");
  if (existsSync(mark) && statSync(mark).mtimeMs >= statSync(lock).mtimeMs) return;
  console.error("installing npm packages (once)");
  // Loaded only here: it brings Node's network with it, which each start would pay for.
  const { spawnSync } = createRequire(import.meta.url)("node:child_process"), r = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
  if (r.status !== 0) {
    console.error("loanword: `npm ci` failed; see the lines above. Is the npm registry reachable?");
    process.exit(1);
  }
}
