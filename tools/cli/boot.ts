import { type CommandLine, UsageError } from "./options.ts";

export async function bootVerb(_line: CommandLine): Promise<number> {
  throw new UsageError("boot needs the kernel, which is not there yet");
}

export async function runVerb(_line: CommandLine): Promise<number> {
  throw new UsageError("run needs the kernel, which is not there yet");
}
