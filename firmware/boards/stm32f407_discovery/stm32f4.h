/*
 * The registers of the STM32F405/407 that the firmware uses, as in ST's reference manual RM0090.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STM32F4_H
#define STM32F4_H

#include "cortexm.h"

/// Reset and clock control (RM0090, 7.3) ///

#define RCC_CR REG32(0x40023800u)
#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define RCC_PLLCFGR REG32(0x40023804u)
#define RCC_PLLCFGR_SRC_HSE (1u << 22)
#define RCC_CFGR REG32(0x40023808u)
#define RCC_CFGR_SW_PLL (2u << 0)
#define RCC_CFGR_SWS (3u << 2)
#define RCC_CFGR_SWS_PLL (2u << 2)
#define RCC_CFGR_PPRE1_DIV4 (5u << 10)
#define RCC_CFGR_PPRE2_DIV2 (4u << 13)
#define RCC_AHB1ENR REG32(0x40023830u)
#define RCC_AHB1ENR_GPIOA (1u << 0)
#define RCC_AHB1ENR_GPIOD (1u << 3)
#define RCC_APB1ENR REG32(0x40023840u)
#define RCC_APB1ENR_USART2 (1u << 17)
#define RCC_APB1ENR_PWR (1u << 28)
#define RCC_CSR REG32(0x40023874u)
#define RCC_CSR_RMVF (1u << 24)
#define RCC_CSR_BORRSTF (1u << 25)
#define RCC_CSR_PINRSTF (1u << 26)
#define RCC_CSR_PORRSTF (1u << 27)
#define RCC_CSR_SFTRSTF (1u << 28)
#define RCC_CSR_IWDGRSTF (1u << 29)
#define RCC_CSR_WWDGRSTF (1u << 30)
#define RCC_CSR_LPWRRSTF (1u << 31)

/// Power and flash (RM0090, 5.4.1 and 3.9.1) ///

#define PWR_CR REG32(0x40007000u)
#define PWR_CR_VOS (1u << 14) /* scale 1: up to 168 MHz */
#define FLASH_ACR REG32(0x40023C00u)
#define FLASH_ACR_LATENCY (7u << 0)
#define FLASH_ACR_5_WAIT_STATES (5u << 0)
#define FLASH_ACR_PREFETCH (1u << 8)
#define FLASH_ACR_INSTRUCTION_CACHE (1u << 9)
#define FLASH_ACR_DATA_CACHE (1u << 10)

/// Ports A and D (RM0090, 8.4) ///

#define GPIOA_MODER REG32(0x40020000u)
#define GPIOA_OSPEEDR REG32(0x40020008u)
#define GPIOA_PUPDR REG32(0x4002000Cu)
#define GPIOA_AFRL REG32(0x40020020u)
#define GPIOD_MODER REG32(0x40020C00u)
#define GPIOD_BSRR REG32(0x40020C18u) /* sets pin n by bit n, clears it by bit 16 + n */

/// USART2 (RM0090, 30.6) ///

#define USART2_SR REG32(0x40004400u)
#define USART_SR_FE (1u << 1)
#define USART_SR_NF (1u << 2)
#define USART_SR_ORE (1u << 3)
#define USART_SR_RXNE (1u << 5)
#define USART_SR_TXE (1u << 7)
#define USART2_DR REG32(0x40004404u)
#define USART2_BRR REG32(0x40004408u)
#define USART2_CR1 REG32(0x4000440Cu)
#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_CR1_RXNEIE (1u << 5)
#define USART_CR1_UE (1u << 13)

/// Independent watchdog (RM0090, 21.4) ///

#define IWDG_KR REG32(0x40003000u)
#define IWDG_KR_UNLOCK 0x5555u
#define IWDG_KR_RELOAD 0xAAAAu
#define IWDG_KR_START 0xCCCCu
#define IWDG_PR REG32(0x40003004u)
#define IWDG_PR_DIV64 4u
#define IWDG_RLR REG32(0x40003008u)
#define IWDG_SR REG32(0x4000300Cu)

/// Debug (RM0090, 38.16) ///

#define DBGMCU_APB1_FZ REG32(0xE0042008u)
#define DBGMCU_APB1_FZ_IWDG_STOP (1u << 12)

#endif
