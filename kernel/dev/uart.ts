// The console's driver: an NS16550A. Output is polled (the transmitter is never busy), input comes by interrupt.
import { UART_BASE, UART_IRQ } from "../hal/board.ts";
import type { Hal } from "../hal/hal.ts";

const THR = 0, RBR = 0, IER = 1, FCR = 2, LCR = 3, MCR = 4, LSR = 5;
const IER_RX = 1, FCR_ON = 1, LCR_8N1 = 3, MCR_OUT2 = 8, MCR_DTR_RTS = 3, LSR_DR = 1;

export class Uart {
  private readonly hal: Hal;
  private readonly onInput: (bytes: Uint8Array) => void;
  private readonly hasRoom: () => boolean;

  constructor(hal: Hal, onInput: (bytes: Uint8Array) => void, hasRoom: () => boolean) {
    this.hal = hal;
    this.onInput = onInput;
    this.hasRoom = hasRoom;
    hal.mmioWrite8(UART_BASE + LCR, LCR_8N1);
    hal.mmioWrite8(UART_BASE + FCR, FCR_ON);
    hal.mmioWrite8(UART_BASE + MCR, MCR_OUT2 | MCR_DTR_RTS);
    hal.establish(UART_IRQ, () => this.receive());
    hal.mmioWrite8(UART_BASE + IER, IER_RX);
  }

  send(bytes: Uint8Array): void {
    for (const b of bytes) this.hal.mmioWrite8(UART_BASE + THR, b);
  }

  /** Takes what has arrived. While there is no room the interrupt is off: nothing is lost, the device holds it. */
  receive(): void {
    const got: number[] = [];
    while (this.hasRoom() && got.length < 256 && (this.hal.mmioRead8(UART_BASE + LSR) & LSR_DR) !== 0) got.push(this.hal.mmioRead8(UART_BASE + RBR));
    if (got.length > 0) this.onInput(Uint8Array.from(got));
    this.hal.mmioWrite8(UART_BASE + IER, this.hasRoom() ? IER_RX : 0);
  }
}
