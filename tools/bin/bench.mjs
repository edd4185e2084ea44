#!/usr/bin/env node
// npm run bench: builds the guest's programs and the tools, then measures. Plain JavaScript, because it runs before anything
// is built.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { installPackages, root } from "./setup.mjs";

installPackages();
const guest = spawnSync(process.execPath, [join(root, "tools/bin/guest.mjs")], { stdio: ["ignore", "ignore", "inherit"] });
if (guest.status !== 0) process.exit(1);
const { buildTools } = await import("./build.mjs");
await buildTools();
process.chdir(root);
await import(pathToFileURL(join(root, "build/tools/bench.main.mjs")).href);
