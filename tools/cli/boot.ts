import type { CommandLine } from "./options.ts";
export async function bootVerb(_line: CommandLine): Promise<number> { return 2; }
export async function runVerb(_line: CommandLine): Promise<number> { return 2; }
