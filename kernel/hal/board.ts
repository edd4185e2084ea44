// Where the board's devices are, for drivers.
export { UART_BASE, UART_IRQ, VIRTIO_BASE, VIRTIO_IRQ, VIRTIO_SLOTS, VIRTIO_STRIDE } from "../../emu/machine.ts";
