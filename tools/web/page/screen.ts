// What a terminal shows, for a page: a tail of plain text. Carriage return, backspace, tab, newline and bell do what they
// do; escape sequences are swallowed. Bytes are UTF-8.

const TEXT_MAX = 200_000, TAB = 8;
const NUL = 0, BELL = 7, BACKSPACE = 8, TABULATOR = 9, NEWLINE = 10, RETURN = 13, ESCAPE = 27, BRACKET = 0x5b, FIRST_FINAL = 0x40, LAST_FINAL = 0x7e;

export class Screen {
  private above = "";
  private line: string[] = [];
  private column = 0;
  /** Within an escape sequence: after ESC, or after ESC and [. */
  private escape: "" | "esc" | "csi" = "";
  private readonly decoder = new TextDecoder();

  get text(): string {
    return this.above + this.line.join("");
  }

  write(bytes: Uint8Array): void {
    for (const c of this.decoder.decode(bytes, { stream: true })) this.put(c);
    if (this.above.length > TEXT_MAX) this.above = this.above.slice(this.above.indexOf("\n", this.above.length - TEXT_MAX / 2) + 1);
  }

  private put(c: string): void {
    const code = c.codePointAt(0)!;
    if (this.escape !== "") return this.swallow(code);
    if (code === ESCAPE) this.escape = "esc";
    else if (code === NEWLINE) {
      this.above += `${this.line.join("")}\n`;
      this.line = [];
      this.column = 0;
    } else if (code === RETURN) this.column = 0;
    else if (code === BACKSPACE) this.column = Math.max(0, this.column - 1);
    else if (code === TABULATOR) do this.show(" "); while (this.column % TAB !== 0);
    else if (code !== BELL && code !== NUL) this.show(c);
  }

  private show(c: string): void {
    while (this.line.length < this.column) this.line.push(" ");
    this.line[this.column++] = c;
  }

  private swallow(code: number): void {
    if (this.escape === "esc") this.escape = code === BRACKET ? "csi" : "";
    else if (code >= FIRST_FINAL && code <= LAST_FINAL) this.escape = "";
  }
}
