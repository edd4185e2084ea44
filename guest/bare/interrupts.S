# Interrupts: the M-mode timer of the CLINT, software interrupts, delegation to S, stimecmp, and the serial port through
# the PLIC. Ends by the test finisher: 0, or the number of the step that went wrong (s11).
.equ FINISHER, 0x100000
.equ CLINT, 0x2000000
.equ PLIC, 0xc000000
.equ UART, 0x10000000
.equ MTI, 0x80
.equ STI, 0x20

.globl _start
_start:
    li s11, 1
    la t0, m_trap
    csrw mtvec, t0
    li t0, -1
    csrw pmpaddr0, t0
    li t0, 0x1f
    csrw pmpcfg0, t0

    # The timer of M-mode: 500 ticks from now, awaited with wfi.
    li s11, 2
    la s9, timer_came
    li s10, 7
    li t0, CLINT + 0xbff8
    ld s7, 0(t0)
    addi s7, s7, 500
    li t0, CLINT + 0x4000
    sd s7, 0(t0)
    li t0, MTI
    csrw mie, t0
    csrsi mstatus, 8
wait_timer:
    wfi
    j wait_timer
timer_came:
    li s11, 3
    csrr t0, mcause
    bgez t0, fail
    rdtime t0
    bltu t0, s7, fail
    csrr t0, mip
    andi t0, t0, MTI
    beqz t0, fail
    li t0, CLINT + 0x4000
    li t1, -1
    sd t1, 0(t0)
    csrr t0, mip
    andi t0, t0, MTI
    bnez t0, fail

    # A software interrupt to ourselves.
    li s11, 4
    li s10, 3
    la s9, software_came
    li t0, 8
    csrw mie, t0
    csrsi mstatus, 8
    li t0, CLINT
    li t1, 1
    sw t1, 0(t0)
    nop
    nop
    nop
    j fail
software_came:
    li t0, CLINT
    sw zero, 0(t0)

    # To S with its interrupts delegated, stimecmp enabled and the time readable.
    li s11, 5
    csrw mie, zero
    li t0, 0x222
    csrw mideleg, t0
    csrr t1, mideleg
    and t1, t1, t0
    bne t0, t1, fail
    li t0, 1 << 63
    csrs menvcfg, t0
    li t0, 7
    csrw mcounteren, t0
    li t0, 3 << 11
    csrc mstatus, t0
    li t0, 1 << 11
    csrs mstatus, t0
    la t0, supervisor
    csrw mepc, t0
    li s10, -1
    mret

supervisor:
    la t0, s_trap
    csrw stvec, t0
    li s11, 6
    li s10, 5
    la s9, stimer_came
    rdtime s7
    addi s7, s7, 300
    csrw 0x14d, s7
    li t0, STI
    csrw sie, t0
    csrsi sstatus, 2
wait_stimer:
    wfi
    j wait_stimer
stimer_came:
    li s11, 7
    rdtime t0
    bltu t0, s7, fail
    csrr t0, sip
    andi t0, t0, STI
    beqz t0, fail
    li t0, -1
    csrw 0x14d, t0
    csrr t0, sip
    andi t0, t0, STI
    bnez t0, fail

    # wfi ends on a pending interrupt although interrupts are off.
    li s11, 8
    rdtime t0
    addi t0, t0, 100
    csrw 0x14d, t0
    wfi
    li t0, -1
    csrw 0x14d, t0

    # The serial port's transmitter, interrupt 10, to S-mode's context 1.
    li s11, 9
    li s10, 9
    la s9, external_came
    li t0, PLIC
    li t1, 1
    sw t1, 40(t0)
    li t0, PLIC + 0x2080
    li t1, 1 << 10
    sw t1, 0(t0)
    li t0, PLIC + 0x201000
    sw zero, 0(t0)
    li t0, 1 << 9
    csrw sie, t0
    li t0, UART
    li t1, 2
    sb t1, 1(t0)
    csrsi sstatus, 2
    nop
    nop
    nop
    j fail
external_came:
    li s11, 10
    li t0, PLIC + 0x201000
    lw t1, 4(t0)
    li t2, 10
    bne t1, t2, fail
    csrr t3, sip
    andi t3, t3, 1 << 9
    bnez t3, fail
    # Quiet the port by reading IIR, then complete; nothing more comes.
    li t2, UART
    lbu t3, 2(t2)
    andi t3, t3, 15
    li t4, 2
    bne t3, t4, fail
    sw t1, 4(t0)
    lw t1, 4(t0)
    bnez t1, fail

    # A priority at the threshold does not interrupt.
    li s11, 11
    li t1, 1
    sw t1, 0(t0)
    li t2, UART
    sb zero, 1(t2)
    li t1, 2
    sb t1, 1(t2)
    csrr t3, sip
    andi t3, t3, 1 << 9
    bnez t3, fail
    li t1, 0x5555
    li t0, FINISHER
    sw t1, 0(t0)
hang:
    j hang

.align 2
s_trap:
    csrr t0, scause
    bgez t0, fail
    andi t0, t0, 63
    bne t0, s10, fail
    jr s9

.align 2
m_trap:
    csrr t0, mcause
    andi t1, t0, 63
    bne t1, s10, fail
    jr s9

fail:
    slli s11, s11, 16
    li t1, 0x3333
    or t1, t1, s11
    li t0, FINISHER
    sw t1, 0(t0)
    j hang
