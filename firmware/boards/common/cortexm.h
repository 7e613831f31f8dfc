/*
 * Registers that every Cortex-M of ARMv7-M and ARMv8-M has.
 *
 * Names and bits as in the Arm v7-M and v8-M Architecture Reference Manuals (DDI 0403, DDI 0553),
 * chapter "System Control Space"; the STM32F4's own copy is PM0214.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORTEXM_H
#define CORTEXM_H

#include <stdint.h>

#define REG32(address) (*(volatile uint32_t *)(uintptr_t)(address))

/// SysTick ///

#define SYST_CSR REG32(0xE000E010u)
#define SYST_CSR_ENABLE (1u << 0)
#define SYST_CSR_TICKINT (1u << 1)
#define SYST_CSR_CLKSOURCE (1u << 2) /* the core clock */
#define SYST_RVR REG32(0xE000E014u)
#define SYST_CVR REG32(0xE000E018u)

/// Interrupts ///

#define NVIC_ISER(n) REG32(0xE000E100u + 4u * (n))
#define NVIC_ICER(n) REG32(0xE000E180u + 4u * (n))
#define NVIC_ISPR(n) REG32(0xE000E200u + 4u * (n))
#define NVIC_ICPR(n) REG32(0xE000E280u + 4u * (n))
#define NVIC_IPR(number) (*(volatile uint8_t *)(uintptr_t)(0xE000E400u + (number)))

/// System control ///

#define SCB_ICSR REG32(0xE000ED04u)
#define SCB_ICSR_PENDSTSET (1u << 26)
#define SCB_VTOR REG32(0xE000ED08u)
#define SCB_AIRCR REG32(0xE000ED0Cu)
#define SCB_AIRCR_RESET (0x05FA0000u | (1u << 2)) /* VECTKEY, SYSRESETREQ */
#define SCB_SHCSR REG32(0xE000ED24u)
#define SCB_SHCSR_FAULTS (7u << 16) /* MemManage, BusFault and UsageFault enabled */
#define SCB_CFSR REG32(0xE000ED28u)
#define SCB_CFSR_MSTKERR (1u << 4)
#define SCB_CFSR_MLSPERR (1u << 5)
#define SCB_CFSR_MMARVALID (1u << 7)
#define SCB_CFSR_STKERR (1u << 12)
#define SCB_CFSR_LSPERR (1u << 13)
#define SCB_CFSR_BFARVALID (1u << 15)
#define SCB_CFSR_STKOF (1u << 20) /* ARMv8-M: below MSPLIM */
#define SCB_CFSR_DIVBYZERO (1u << 25)
#define SCB_HFSR REG32(0xE000ED2Cu)
#define SCB_MMFAR REG32(0xE000ED34u)
#define SCB_BFAR REG32(0xE000ED38u)
#define SCB_CCR REG32(0xE000ED14u)
#define SCB_CCR_DIV_0_TRP (1u << 4)

/// Memory protection (the ARMv7-M form) ///

#define MPU_TYPE REG32(0xE000ED90u)
#define MPU_CTRL REG32(0xE000ED94u)
#define MPU_CTRL_ENABLE (1u << 0)
#define MPU_CTRL_PRIVDEFENA (1u << 2)
#define MPU_RNR REG32(0xE000ED98u)
#define MPU_RBAR REG32(0xE000ED9Cu)
#define MPU_RASR REG32(0xE000EDA0u)
#define MPU_RASR_ENABLE (1u << 0)
#define MPU_RASR_SIZE(bits) (((bits)-1u) << 1) /* 2^bits bytes; AP = 0 is "no access" */
#define MPU_RASR_XN (1u << 28)

/// Cycle counter ///

#define DEMCR REG32(0xE000EDFCu)
#define DEMCR_TRCENA (1u << 24)
#define DWT_CTRL REG32(0xE0001000u)
#define DWT_CTRL_CYCCNTENA (1u << 0)
#define DWT_CYCCNT REG32(0xE0001004u)

/// Instructions ///

static inline void cortexm_barrier(void) { __asm volatile("dsb\n\tisb" ::: "memory"); }

/** Keeps the compiler from moving memory accesses across: between a program and its interrupt, on
 *  one core, that is all it takes. */
static inline void cortexm_order(void) { __asm volatile("" ::: "memory"); }

static inline void cortexm_wait_for_interrupt(void) { __asm volatile("dsb\n\twfi" ::: "memory"); }

/** Masks interrupts; the result goes to cortexm_unmask(). */
static inline uint32_t cortexm_mask(void) {
    uint32_t primask;
    __asm volatile("mrs %0, primask\n\tcpsid i" : "=r"(primask)::"memory");
    return primask;
}

static inline void cortexm_unmask(uint32_t primask) {
    __asm volatile("msr primask, %0" ::"r"(primask) : "memory");
}

static inline void cortexm_enable_irq(uint32_t number) {
    NVIC_ISER(number / 32u) = 1u << (number % 32u);
}

/** Makes an enabled interrupt come, as if its peripheral had asked for it. */
static inline void cortexm_pend_irq(uint32_t number) {
    NVIC_ISPR(number / 32u) = 1u << (number % 32u);
}

/** Disables an interrupt, and forgets it where it is pending. */
static inline void cortexm_disable_irq(uint32_t number) {
    NVIC_ICER(number / 32u) = 1u << (number % 32u);
    cortexm_barrier();
    NVIC_ICPR(number / 32u) = 1u << (number % 32u);
}

/** Lets every interrupt that has the priority of reset, 0, interrupt this one. Bit 7 of a priority
 *  is there on every core (DDI 0403, B1.5.4). */
static inline void cortexm_lower_priority(uint32_t number) { NVIC_IPR(number) = 0x80u; }

#endif
