// The command lines of tools for developers: what is wrong with one is a line on standard error and exit status 2.
import { parseArgs, type ParseArgsConfig } from "node:util";

/** Ends the process with a line about its command line. */
export function wrongUse(tool: string, what: string): never {
  process.stderr.write(`${tool}: ${what}\n`);
  process.exit(2);
}

/** node:util's parseArgs. => does not return when the command line is wrong */
export function parseToolArgs<T extends ParseArgsConfig>(tool: string, config: T): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (e) {
    return wrongUse(tool, (e as Error).message.split(/\.\s|\n/)[0]!.replace(/^./, (c) => c.toLowerCase()));
  }
}
