/*
 * The registers of the STM32F405/407 that the firmware uses, as in ST's reference manual RM0090.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STM32F4_H
#define STM32F4_H

#include "stm32.h"

/// Reset and clock control (RM0090, 7.3) ///

#define RCC_CR REG32(0x40023800u)
#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define RCC_CR_PLLI2SON (1u << 26)
#define RCC_CR_PLLI2SRDY (1u << 27)
#define RCC_PLLCFGR REG32(0x40023804u)
#define RCC_PLLCFGR_N(factor) ((factor) << 6)
#define RCC_PLLCFGR_P(divider) (((divider) / 2u - 1u) << 16) /* 2, 4, 6 or 8 */
#define RCC_PLLCFGR_SRC_HSE (1u << 22)
#define RCC_PLLCFGR_Q(divider) ((divider) << 24)
#define RCC_CFGR REG32(0x40023808u)
#define RCC_CFGR_SW_PLL (2u << 0)
#define RCC_CFGR_SWS (3u << 2)
#define RCC_CFGR_SWS_PLL (2u << 2)
#define RCC_CFGR_PPRE1_DIV2 (4u << 10)
#define RCC_CFGR_PPRE1_DIV4 (5u << 10)
#define RCC_CFGR_PPRE2_DIV1 (0u << 13)
#define RCC_CFGR_PPRE2_DIV2 (4u << 13)
#define RCC_CFGR_I2SSRC (1u << 23) /* 0: PLLI2S */
#define RCC_APB1RSTR REG32(0x40023820u)
#define RCC_APB1RSTR_SPI2 (1u << 14)
#define RCC_AHB1ENR REG32(0x40023830u)
#define RCC_AHB1ENR_GPIOA (1u << 0)
#define RCC_AHB1ENR_GPIOB (1u << 1)
#define RCC_AHB1ENR_GPIOC (1u << 2)
#define RCC_AHB1ENR_GPIOD (1u << 3)
#define RCC_AHB1ENR_DMA1 (1u << 21)
#define RCC_APB1ENR REG32(0x40023840u)
#define RCC_APB1ENR_SPI2 (1u << 14)
#define RCC_APB1ENR_USART2 (1u << 17)
#define RCC_APB1ENR_PWR (1u << 28)
#define RCC_CSR REG32(0x40023874u)
#define RCC_CSR_RMVF (1u << 24)
#define RCC_CSR_BORRSTF (1u << 25)
#define RCC_CSR_PORRSTF (1u << 27)
#define RCC_PLLI2SCFGR REG32(0x40023884u)
#define RCC_PLLI2SCFGR_N(factor) ((factor) << 6)
#define RCC_PLLI2SCFGR_R(divider) ((divider) << 28)

/// Power and flash (RM0090, 5.4.1 and 3.9.1) ///

#define PWR_CR REG32(0x40007000u)
#define PWR_CR_VOS (1u << 14) /* scale 1: up to 168 MHz; 0, scale 2: up to 144 MHz */
#define FLASH_ACR REG32(0x40023C00u)
#define FLASH_ACR_LATENCY (7u << 0)
#define FLASH_ACR_WAIT_STATES(states) ((states) << 0)
#define FLASH_ACR_PREFETCH (1u << 8)
#define FLASH_ACR_INSTRUCTION_CACHE (1u << 9)
#define FLASH_ACR_DATA_CACHE (1u << 10)

/// Ports A to D (RM0090, 8.4) ///

#define GPIOA_MODER REG32(0x40020000u)
#define GPIOA_OSPEEDR REG32(0x40020008u)
#define GPIOA_PUPDR REG32(0x4002000Cu)
#define GPIOA_AFRL REG32(0x40020020u)
#define GPIOB_MODER REG32(0x40020400u)
#define GPIOB_OSPEEDR REG32(0x40020408u)
#define GPIOB_AFRH REG32(0x40020424u)
#define GPIOC_MODER REG32(0x40020800u)
#define GPIOC_PUPDR REG32(0x4002080Cu)
#define GPIOC_AFRL REG32(0x40020820u)
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

/// SPI2 as I2S2 (RM0090, 28.5) ///

#define SPI2_CR2 REG32(0x40003804u)
#define SPI_CR2_RXDMAEN (1u << 0)
#define SPI2_SR REG32(0x40003808u)
#define SPI_SR_OVR (1u << 6)
#define SPI2_DR REG32(0x4000380Cu)
#define SPI2_I2SCFGR REG32(0x4000381Cu)
#define SPI_I2SCFGR_CKPOL (1u << 3) /* the clock rests high */
#define SPI_I2SCFGR_MSB (1u << 4)   /* justified left; 16 bits of data in a channel of 16 */
#define SPI_I2SCFGR_MASTER_RECEIVE (3u << 8)
#define SPI_I2SCFGR_I2SE (1u << 10)
#define SPI_I2SCFGR_I2SMOD (1u << 11)
#define SPI2_I2SPR REG32(0x40003820u)
#define SPI_I2SPR_DIVIDER(divider) ((divider) / 2u | (divider) % 2u << 8) /* I2SDIV, ODD */

/// DMA1, stream 3 (RM0090, 10.5) ///

#define DMA1_LISR REG32(0x40026000u)
#define DMA1_LIFCR REG32(0x40026008u) /* the same bits clear */
#define DMA_LISR_FEIF3 (1u << 22)
#define DMA_LISR_DMEIF3 (1u << 24)
#define DMA_LISR_TEIF3 (1u << 25)
#define DMA_LISR_HTIF3 (1u << 26)
#define DMA_LISR_TCIF3 (1u << 27)
#define DMA1_S3CR REG32(0x40026058u)
#define DMA_SCR_EN (1u << 0)
#define DMA_SCR_TEIE (1u << 2)
#define DMA_SCR_HTIE (1u << 3)
#define DMA_SCR_TCIE (1u << 4)
#define DMA_SCR_CIRC (1u << 8)
#define DMA_SCR_MINC (1u << 10)
#define DMA_SCR_PSIZE_16 (1u << 11)
#define DMA_SCR_MSIZE_16 (1u << 13)
#define DMA_SCR_PL_HIGH (2u << 16)
#define DMA_SCR_CHANNEL(channel) ((channel) << 25)
#define DMA1_S3NDTR REG32(0x4002605Cu)
#define DMA1_S3PAR REG32(0x40026060u)
#define DMA1_S3M0AR REG32(0x40026064u)
#define DMA1_S3FCR REG32(0x4002606Cu)

#endif
