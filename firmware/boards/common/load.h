/* SPDX-License-Identifier: Apache-2.0 */
/* The interrupts of every board, sleep, and the time that both take. */
#ifndef LOAD_H
#define LOAD_H

/* Vectors. These have the priority of reset, so that neither interrupts the other. */
void SysTick_Handler(void);
void UART_Handler(void);

/* This one takes longer than a byte does on the UART: the others may interrupt it. */
void Microphone_Handler(void);

/* Sleeps until an interrupt is pending. Call with interrupts masked. */
void load_sleep(void);

#endif
