/*
 * The registers of the STM32L4R5 that the firmware uses, as in ST's reference manual RM0432.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STM32L4_H
#define STM32L4_H

#include "stm32.h"

/// Reset and clock control: RCC registers ///

#define RCC_CR REG32(0x40021000u)
#define RCC_CR_HSION (1u << 8)
#define RCC_CR_HSIRDY (1u << 10)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define RCC_CFGR REG32(0x40021008u)
#define RCC_CFGR_SW_HSI (1u << 0)
#define RCC_CFGR_SW_PLL (3u << 0)
#define RCC_CFGR_SWS (3u << 2)
#define RCC_CFGR_SWS_HSI (1u << 2)
#define RCC_CFGR_SWS_PLL (3u << 2)
#define RCC_CFGR_HPRE_DIV2 (8u << 4)
#define RCC_PLLCFGR REG32(0x4002100Cu)
#define RCC_PLLCFGR_SRC_HSI (2u << 0)
#define RCC_PLLCFGR_M(divider) (((divider)-1u) << 4)
#define RCC_PLLCFGR_N(factor) ((factor) << 8)
#define RCC_PLLCFGR_REN (1u << 24)
#define RCC_PLLCFGR_R(divider) (((divider) / 2u - 1u) << 25) /* 2, 4, 6 or 8 */
#define RCC_AHB2ENR REG32(0x4002104Cu)
#define RCC_AHB2ENR_GPIOF (1u << 5)
#define RCC_AHB2ENR_GPIOG (1u << 6)
#define RCC_APB1ENR1 REG32(0x40021058u)
#define RCC_APB1ENR1_PWR (1u << 28)
#define RCC_APB1ENR2 REG32(0x4002105Cu)
#define RCC_APB1ENR2_LPUART1 (1u << 0)
#define RCC_CCIPR REG32(0x40021088u)
#define RCC_CCIPR_LPUART1_HSI (2u << 10) /* instead of PCLK1 */
#define RCC_CSR REG32(0x40021094u)
#define RCC_CSR_RMVF (1u << 23)
#define RCC_CSR_BORRSTF (1u << 27) /* also of a power-on */

/// Power and flash: PWR and FLASH registers ///

#define PWR_CR2 REG32(0x40007004u)
#define PWR_CR2_IOSV (1u << 9) /* VDDIO2, the supply of PG2 .. PG15, is there */
#define PWR_CR5 REG32(0x40007080u)
#define PWR_CR5_R1MODE (1u << 8) /* 0: range 1 boost mode */
#define FLASH_ACR REG32(0x40022000u)
#define FLASH_ACR_LATENCY (15u << 0)
#define FLASH_ACR_PREFETCH (1u << 8)
#define FLASH_ACR_INSTRUCTION_CACHE (1u << 9)
#define FLASH_ACR_DATA_CACHE (1u << 10)

/// Ports F and G: GPIO registers ///

#define GPIOF_MODER REG32(0x48001400u)
#define GPIOF_BSRR REG32(0x48001418u) /* sets pin n by bit n, clears it by bit 16 + n */
#define GPIOG_MODER REG32(0x48001800u)
#define GPIOG_OSPEEDR REG32(0x48001808u)
#define GPIOG_PUPDR REG32(0x4800180Cu)
#define GPIOG_AFRL REG32(0x48001820u)
#define GPIOG_AFRH REG32(0x48001824u)

/// LPUART1: LPUART registers ///

#define LPUART1_CR1 REG32(0x40008000u)
#define LPUART_CR1_UE (1u << 0)
#define LPUART_CR1_RE (1u << 2)
#define LPUART_CR1_TE (1u << 3)
#define LPUART_CR1_RXNEIE (1u << 5)
#define LPUART1_BRR REG32(0x4000800Cu)
#define LPUART1_ISR REG32(0x4000801Cu)
#define LPUART_ISR_FE (1u << 1)
#define LPUART_ISR_NE (1u << 2)
#define LPUART_ISR_ORE (1u << 3)
#define LPUART_ISR_RXNE (1u << 5)
#define LPUART_ISR_TXE (1u << 7)
#define LPUART1_ICR REG32(0x40008020u) /* its bits 1 to 3 clear ISR's */
#define LPUART1_RDR REG32(0x40008024u)
#define LPUART1_TDR REG32(0x40008028u)

#endif
