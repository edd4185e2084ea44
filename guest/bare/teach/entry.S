// Every path into and out of the kernel that C cannot say.
#include "teach.h"

.macro each_saved op, base, off        // ra, sp, s0..s11: what a call keeps
    \op ra, \off(\base)
    \op sp, \off+8(\base)
    \op s0, \off+16(\base)
    \op s1, \off+24(\base)
    .irp n, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    \op s\n, (\off+16+8*\n)(\base)
    .endr
.endm

.macro each_scratch op                 // what a call may lose, on the stack
    \op ra, 0(sp)
    .irp n, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 28, 29, 30, 31
    \op x\n, (8*\n)(sp)
    .endr
.endm

.macro each_user op, base              // all of the user's registers but a0
    .irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    \op x\n, (TF_X+8*\n)(\base)
    .endr
.endm

.section .entry, "ax"
.globl _entry
_entry:                                // a stack for each hart, whatever number of them there is
    la sp, stack0
    li a0, PAGE
    csrr a1, mhartid
    addi a1, a1, 1
    mul a0, a0, a1
    add sp, sp, a0
    call start
spin: j spin

.text
.globl swtch
swtch:                                 // swtch(from, to)
    each_saved sd, a0, 0
    each_saved ld, a1, 0
    ret

.globl kernelvec
.align 4
kernelvec:                             // a trap while in the kernel
    addi sp, sp, -256
    each_scratch sd
    call kerneltrap
    each_scratch ld
    addi sp, sp, 256
    sret

.globl probevec
.align 4
probevec:                              // M-mode, while the board is probed: the cause goes to a0, the access is skipped
    csrr a0, mepc
    addi a0, a0, 8
    csrw mepc, a0
    csrr a0, mcause
    mret

.globl probe
.option push
.option norvc
probe:                                 // probe(address): 0, or the cause of the trap that a load takes
    lw a1, 0(a0)
    j 1f
    ret
1:  li a0, 0
    ret
.option pop

#ifdef OLD
.globl timervec
.align 4
timervec:                              // mscratch: room for three registers, address of mtimecmp, ticks between interrupts
    csrrw a0, mscratch, a0
    sd a1, 0(a0)
    sd a2, 8(a0)
    sd a3, 16(a0)
    ld a1, 24(a0)
    ld a2, 32(a0)
    ld a3, 0(a1)
    add a3, a3, a2
    sd a3, 0(a1)
    li a1, 2
    csrw sip, a1
    ld a3, 16(a0)
    ld a2, 8(a0)
    ld a1, 0(a0)
    csrrw a0, mscratch, a0
    mret
#endif

.section .trampoline, "ax"
.align 4
.globl uservec
uservec:                               // a trap from user mode: still the user's page table, which maps this page too
#ifdef OLD
    csrrw a0, sscratch, a0
#else
    csrw sscratch, a0
    li a0, TRAPFRAME
#endif
    each_user sd, a0
    csrr t0, sscratch
    sd t0, (TF_X+80)(a0)
    ld sp, TF_SP(a0)
    ld tp, TF_HART(a0)
    ld t0, TF_TRAP(a0)
    ld t1, TF_SATP(a0)
    sfence.vma zero, zero
    csrw satp, t1
    sfence.vma zero, zero
    jr t0

.globl userret
userret:                               // userret(satp): into user mode
    sfence.vma zero, zero
    csrw satp, a0
    sfence.vma zero, zero
    li a0, TRAPFRAME
#ifdef OLD
    ld t0, (TF_X+80)(a0)
    csrw sscratch, t0
    each_user ld, a0
    csrrw a0, sscratch, a0
#else
    each_user ld, a0
    ld a0, (TF_X+80)(a0)
#endif
    sret
