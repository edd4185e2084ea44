// The program of the `loanword` command: cli/main.ts, from the code that V8 made of it the last time.
import { fileURLToPath } from "node:url";
import type * as Cli from "./cli/main.ts";
import { isVerb } from "./cli/options.ts";
import { loadCompiled } from "./host/compiled.ts";
import { keepFreedMemory } from "./host/malloc.ts";
import { tuneV8 } from "./host/v8.ts";

// Before anything is compiled: compiled code is V8's switches' too.
tuneV8();
keepFreedMemory();
const argv = process.argv.slice(2), [verb = "", next = ""] = argv;
// Each verb leaves the code that it needs itself. Its help is none of it, nor is the version, which makefiles ask for first.
const use = isVerb(verb) && !/^(--help|-h|--?version)$/.test(next) ? verb : "other";
const { main } = loadCompiled(fileURLToPath(new URL("./cli.cjs", import.meta.url)), use) as typeof Cli;
// Everything is written by now: to end at once saves what Node would tidy up.
process.exit(await main(argv));
