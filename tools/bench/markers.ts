// When did what run? The suite's launcher prints "BEGIN n" and "END n status"; who reads its console notes the clocks then.

/** Clocks of a process at one moment. */
export interface Moment { readonly wallMs: number; readonly cpuMs: number }

/** One command of the suite. */
export interface Timing {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly status: number;
  /** What it printed. */
  readonly output: string;
}

export class MarkerReader {
  private line = "";
  private began: { at: Moment; number: number; output: string[] } | null = null;
  private readonly now: () => Moment;
  /** By number of the command. */
  readonly timings: (Timing | undefined)[] = [];

  constructor(now: () => Moment) {
    this.now = now;
  }

  /** Console output as it arrives. */
  push(text: string): void {
    this.line += text;
    for (let end = this.line.indexOf("\n"); end >= 0; end = this.line.indexOf("\n")) {
      this.take(this.line.slice(0, end).replace(/\r$/, ""));
      this.line = this.line.slice(end + 1);
    }
  }

  private take(line: string): void {
    const begin = /^BEGIN (\d+)$/.exec(line), end = /^END (\d+) (\d+)$/.exec(line);
    if (begin !== null) this.began = { at: this.now(), number: Number(begin[1]), output: [] };
    else if (end !== null && this.began?.number === Number(end[1])) {
      const { at, output, number } = this.began, now = this.now();
      this.timings[number] = { wallMs: now.wallMs - at.wallMs, cpuMs: now.cpuMs - at.cpuMs, status: Number(end[2]), output: output.join("\n") };
      this.began = null;
    } else this.began?.output.push(line);
  }
}
