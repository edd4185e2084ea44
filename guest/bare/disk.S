# A driver for virtio-blk in slot 0, of both transport versions: reads sector 1, adds one to each byte, writes it to sector 2,
# reads that back, then lies to the device and expects DEVICE_NEEDS_RESET. Completion comes by interrupt 1 through the
# PLIC. Ends by the test finisher: 0, or the number of the step that went wrong (s11).
.equ FINISHER, 0x100000
.equ PLIC, 0xc000000
.equ SLOT, 0x10001000
.equ NEXT, 1
.equ WRITE, 2

.globl _start
_start:
    li s11, 1
    la t0, fail
    csrw mtvec, t0
    la sp, stack
    li s0, SLOT
    lwu t0, 0(s0)
    li t1, 0x74726976
    bne t0, t1, fail
    li s11, 2
    lw t0, 8(s0)
    li t1, 2
    bne t0, t1, fail
    lw s1, 4(s0)
    call start

    # Interrupt 1 to M-mode, context 0: pending is enough, it is awaited with wfi.
    li t0, PLIC
    li t1, 1
    sw t1, 4(t0)
    li t0, PLIC + 0x2000
    li t1, 2
    sw t1, 0(t0)
    li t0, PLIC + 0x200000
    sw zero, 0(t0)
    li t0, 1 << 11
    csrw mie, t0

    li s11, 3
    li a0, 0
    li a1, 1
    call transfer
    la t0, data
    li t1, 512
increment:
    lbu t2, 0(t0)
    addi t2, t2, 1
    sb t2, 0(t0)
    addi t0, t0, 1
    addi t1, t1, -1
    bnez t1, increment

    li s11, 4
    li a0, 1
    li a1, 2
    call transfer
    la t0, data
    sd zero, 0(t0)
    sd zero, 504(t0)
    li s11, 5
    li a0, 0
    li a1, 2
    call transfer
    # The test's disk holds byte i & 255 at offset i.
    la t0, data
    li t1, 0
check:
    add t2, t0, t1
    lbu t3, 0(t2)
    addi t4, t1, 1
    andi t4, t4, 255
    bne t3, t4, fail
    addi t1, t1, 1
    li t2, 512
    bne t1, t2, check

    # A chain that loops: the device must ask for a reset, and work again after it.
    li s11, 6
    la t0, descriptors
    li t1, NEXT
    sh t1, 44(t0)
    sh zero, 46(t0)
    call offer
    lw t1, 0x70(s0)
    andi t1, t1, 0x40
    beqz t1, fail
    li s11, 7
    call start
    li a0, 0
    li a1, 1
    call transfer
    li t0, FINISHER
    li t1, 0x5555
    sw t1, 0(t0)
hang:
    j hang

# Sets the device up; s1 is the transport's version.
start:
    sw zero, 0x70(s0)
    la t0, descriptors
    li t1, 8192
clear:
    sd zero, 0(t0)
    addi t0, t0, 8
    addi t1, t1, -8
    bnez t1, clear
    li s2, 0
    li t0, 3
    sw t0, 0x70(s0)
    sw zero, 0x24(s0)
    sw zero, 0x20(s0)
    sw zero, 0x30(s0)
    lw t0, 0x34(s0)
    li t1, 8
    bltu t0, t1, fail
    la t0, descriptors
    li t2, 2
    beq s1, t2, modern
    li t2, 4096
    sw t2, 0x28(s0)
    sw t1, 0x38(s0)
    sw t2, 0x3c(s0)
    srli t0, t0, 12
    sw t0, 0x40(s0)
    li t0, 7
    sw t0, 0x70(s0)
    ret
modern:
    li t2, 1
    sw t2, 0x24(s0)
    sw t2, 0x20(s0)
    li t2, 11
    sw t2, 0x70(s0)
    lw t2, 0x70(s0)
    andi t2, t2, 8
    beqz t2, fail
    sw t1, 0x38(s0)
    sw t0, 0x80(s0)
    sw zero, 0x84(s0)
    la t0, available
    sw t0, 0x90(s0)
    sw zero, 0x94(s0)
    la t0, used
    sw t0, 0xa0(s0)
    sw zero, 0xa4(s0)
    li t2, 1
    sw t2, 0x44(s0)
    li t0, 15
    sw t0, 0x70(s0)
    ret

# a0 0 reads, 1 writes sector a1 from or to `data`, and checks that it went well.
transfer:
    addi sp, sp, -16
    sd ra, 0(sp)
    la t0, header
    sw a0, 0(t0)
    sw zero, 4(t0)
    sd a1, 8(t0)
    la t1, descriptors
    sd t0, 0(t1)
    li t2, 16
    sw t2, 8(t1)
    li t2, NEXT
    sh t2, 12(t1)
    sh t2, 14(t1)
    la t0, data
    sd t0, 16(t1)
    li t2, 512
    sw t2, 24(t1)
    li t2, NEXT
    bnez a0, is_write
    li t2, NEXT | WRITE
is_write:
    sh t2, 28(t1)
    li t2, 2
    sh t2, 30(t1)
    la t0, status
    li t2, -1
    sb t2, 0(t0)
    sd t0, 32(t1)
    li t2, 1
    sw t2, 40(t1)
    li t2, WRITE
    sh t2, 44(t1)
    call offer
    # One more used, by us, with status 0.
    la t0, used
    lhu t1, 2(t0)
    bne t1, s2, fail
    la t0, status
    lbu t1, 0(t0)
    bnez t1, fail
    ld ra, 0(sp)
    addi sp, sp, 16
    ret

# Makes descriptor 0 available, notifies, waits for the interrupt, acknowledges it.
offer:
    la t0, available
    andi t1, s2, 7
    slli t1, t1, 1
    add t1, t1, t0
    sh zero, 4(t1)
    addi s2, s2, 1
    fence
    sh s2, 2(t0)
    fence
    sw zero, 0x50(s0)
wait:
    wfi
    csrr t0, mip
    li t1, 1 << 11
    and t0, t0, t1
    beqz t0, wait
    li t2, PLIC + 0x200000
    lw t0, 4(t2)
    li t1, 1
    bne t0, t1, fail
    lw t1, 0x60(s0)
    beqz t1, fail
    sw t1, 0x64(s0)
    sw t0, 4(t2)
    ret

.align 2
fail:
    slli s11, s11, 16
    li t1, 0x3333
    or t1, t1, s11
    li t0, FINISHER
    sw t1, 0(t0)
    j hang

# The layout of version 1: descriptors, available ring, and the used ring on the next page.
.align 12
descriptors:
    .space 128
available:
    .space 3968
used:
    .space 4096
header:
    .space 16
data:
    .space 512
status:
    .space 16
    .space 512
stack:
    .dword 0
