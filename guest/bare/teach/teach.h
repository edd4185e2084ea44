// Shared by entry.S and kernel.c. Two flavours of one kernel, as such kernels were and are written:
//   OLD   M-mode timer of the CLINT, forwarded as a software interrupt; virtio-mmio version 1
//   else  the S-mode timer (Sstc); virtio-mmio version 2
#define PAGE 4096
#define TOP (1UL << 38)                 // one bit less than Sv39 has, so no address needs its sign extended
#define TRAMPOLINE (TOP - PAGE)
#define TRAPFRAME (TRAMPOLINE - PAGE)
#define KSTACK(i) (TRAMPOLINE - ((i) + 1) * 2 * PAGE)

// Places in a trap frame, in bytes; register n is at TF_X + 8n.
#define TF_SATP 0
#define TF_SP 8
#define TF_TRAP 16
#define TF_EPC 24
#define TF_HART 32
#define TF_X 40
