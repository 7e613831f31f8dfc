/*
 * The registers of the nRF52840 that the firmware uses, as in Nordic's nRF52840 Product
 * Specification ("PS", v1.7), whose chapters the headings name.
 *
 * A task starts by writing 1; an event reads 1 once it has happened, until 0 is written
 * ("Peripheral interface").
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NRF52840_H
#define NRF52840_H

#include "cortexm.h"

/// Factory and user information (PS, FICR and UICR) ///

#define FICR_DEVICEID(n) REG32(0x10000060u + 4u * (n))
#define UICR_APPROTECT REG32(0x10001208u)
#define APPROTECT_DISABLE REG32(0x40000558u)
#define APPROTECT_OFF 0x5Au

/// CLOCK ///

#define CLOCK_TASKS_HFCLKSTART REG32(0x40000000u)
#define CLOCK_HFCLKSTAT REG32(0x4000040Cu)
#define CLOCK_HFCLKSTAT_HFXO ((1u << 16) | (1u << 0)) /* STATE: running; SRC: the crystal */

/// POWER ///

#define POWER_RESETREAS REG32(0x40000400u)
#define POWER_RESETREAS_RESETPIN (1u << 0)
#define POWER_RESETREAS_DOG (1u << 1)
#define POWER_RESETREAS_SREQ (1u << 2)
#define POWER_RESETREAS_LOCKUP (1u << 3)
#define POWER_RESETREAS_WAKEUP (0x1Fu << 16) /* OFF, LPCOMP, DIF, NFC, VBUS: from System OFF */
#define POWER_USBREGSTATUS REG32(0x40000438u)
#define POWER_USBREGSTATUS_VBUSDETECT (1u << 0)
#define POWER_USBREGSTATUS_OUTPUTRDY (1u << 1)
#define POWER_GPREGRET REG32(0x4000051Cu)
#define POWER_DCDCEN REG32(0x40000578u)

/// NVMC ///

#define NVMC_ICACHECNF REG32(0x4001E540u)
#define NVMC_ICACHECNF_CACHEEN (1u << 0)

/// GPIO ///

/* A pin is 32 * port + number. */
#define GPIO_PORT(pin) (0x50000000u + 0x300u * ((pin) / 32u))
#define GPIO_BIT(pin) (1u << ((pin) % 32u))
#define GPIO_OUTSET(pin) REG32(GPIO_PORT(pin) + 0x508u)
#define GPIO_OUTCLR(pin) REG32(GPIO_PORT(pin) + 0x50Cu)
#define GPIO_PIN_CNF(pin) REG32(GPIO_PORT(pin) + 0x700u + 4u * ((pin) % 32u))
#define GPIO_PIN_CNF_INPUT (0u << 0)
#define GPIO_PIN_CNF_INPUT_PULLUP (3u << 2)
#define GPIO_PIN_CNF_OUTPUT ((1u << 0) | (1u << 1)) /* DIR: output; INPUT: disconnected */
#define GPIO_PIN_CNF_S0H1 (2u << 8)                 /* high drive for 1 */

/// WDT ///

#define WDT_TASKS_START REG32(0x40010000u)
#define WDT_RUNSTATUS REG32(0x40010400u)
#define WDT_CRV REG32(0x40010504u)
#define WDT_RREN REG32(0x40010508u)
#define WDT_CONFIG REG32(0x4001050Cu)
#define WDT_CONFIG_SLEEP (1u << 0) /* counts while the core sleeps; HALT is 0: not while halted */
#define WDT_RR(n) REG32(0x40010600u + 4u * (n))
#define WDT_RR_RELOAD 0x6E524635u
#define WDT_RR_COUNT 8u
#define WDT_HZ 32768u

/// UART ///

#define UART0_TASKS_STARTRX REG32(0x40002000u)
#define UART0_TASKS_STARTTX REG32(0x40002008u)
#define UART0_EVENTS_RXDRDY REG32(0x40002108u)
#define UART0_EVENTS_TXDRDY REG32(0x4000211Cu)
#define UART0_EVENTS_ERROR REG32(0x40002124u)
#define UART0_INTENSET REG32(0x40002304u)
#define UART0_INT_RXDRDY (1u << 2)
#define UART0_INT_ERROR (1u << 9)
#define UART0_ERRORSRC REG32(0x40002480u)
#define UART0_ENABLE REG32(0x40002500u)
#define UART0_ENABLE_ON 4u
#define UART0_PSEL_TXD REG32(0x4000250Cu)
#define UART0_PSEL_RXD REG32(0x40002514u)
#define UART0_RXD REG32(0x40002518u)
#define UART0_TXD REG32(0x4000251Cu)
#define UART0_BAUDRATE REG32(0x40002524u)
#define UART0_CONFIG REG32(0x4000256Cu)

/// PDM ///

#define PDM_TASKS_START REG32(0x4001D000u)
#define PDM_TASKS_STOP REG32(0x4001D004u)
#define PDM_EVENTS_STARTED REG32(0x4001D100u)
#define PDM_EVENTS_STOPPED REG32(0x4001D104u)
#define PDM_EVENTS_END REG32(0x4001D108u)
#define PDM_INTENSET REG32(0x4001D304u)
#define PDM_INTENCLR REG32(0x4001D308u)
#define PDM_INT_STARTED (1u << 0)
#define PDM_INT_STOPPED (1u << 1)
#define PDM_INT_END (1u << 2)
#define PDM_ENABLE REG32(0x4001D500u)
#define PDM_PDMCLKCTRL REG32(0x4001D504u)
#define PDM_PDMCLKCTRL_1280K 0x0A000000u /* 32 MHz / 25 */
#define PDM_MODE REG32(0x4001D508u)
#define PDM_MODE_MONO (1u << 0)
#define PDM_MODE_LEFT_RISING (1u << 1) /* else the left channel is taken at the falling edge */
#define PDM_GAINL REG32(0x4001D518u)
#define PDM_GAINR REG32(0x4001D51Cu)
#define PDM_RATIO REG32(0x4001D520u)
#define PDM_RATIO_80 1u
#define PDM_PSEL_CLK REG32(0x4001D540u)
#define PDM_PSEL_DIN REG32(0x4001D544u)
#define PDM_SAMPLE_PTR REG32(0x4001D560u)
#define PDM_SAMPLE_MAXCNT REG32(0x4001D564u)

/// USBD ///

#define USBD_TASKS_STARTEPIN(n) REG32(0x40027004u + 4u * (n))
#define USBD_TASKS_STARTEPOUT(n) REG32(0x40027028u + 4u * (n))
#define USBD_TASKS_EP0RCVOUT REG32(0x4002704Cu)
#define USBD_TASKS_EP0STATUS REG32(0x40027050u)
#define USBD_TASKS_EP0STALL REG32(0x40027054u)
#define USBD_EVENTS_USBRESET REG32(0x40027100u)
#define USBD_EVENTS_ENDEPIN(n) REG32(0x40027108u + 4u * (n))
#define USBD_EVENTS_EP0DATADONE REG32(0x40027128u)
#define USBD_EVENTS_ENDEPOUT(n) REG32(0x40027130u + 4u * (n))
#define USBD_EVENTS_USBEVENT REG32(0x40027158u)
#define USBD_EVENTS_EP0SETUP REG32(0x4002715Cu)
#define USBD_EVENTS_EPDATA REG32(0x40027160u)
#define USBD_INTENSET REG32(0x40027304u)
#define USBD_INTENCLR REG32(0x40027308u)
#define USBD_INT_USBRESET (1u << 0)
#define USBD_INT_EP0DATADONE (1u << 10)
#define USBD_INT_USBEVENT (1u << 22)
#define USBD_INT_EP0SETUP (1u << 23)
#define USBD_INT_EPDATA (1u << 24)
#define USBD_EVENTCAUSE REG32(0x40027400u) /* a bit is cleared by writing 1 */
#define USBD_EVENTCAUSE_SUSPEND (1u << 8)
#define USBD_EVENTCAUSE_RESUME (1u << 9)
#define USBD_EVENTCAUSE_READY (1u << 11)
#define USBD_EPDATASTATUS REG32(0x4002746Cu) /* likewise */
#define USBD_EPDATASTATUS_IN(n) (1u << (n))
#define USBD_EPDATASTATUS_OUT(n) (1u << (16u + (n)))
#define USBD_SETUP(n) REG32(0x40027480u + 4u * (n)) /* its bytes: BMREQUESTTYPE .. WLENGTHH */
#define USBD_SIZE_EPOUT(n) REG32(0x400274A0u + 4u * (n))
#define USBD_ENABLE REG32(0x40027500u)
#define USBD_USBPULLUP REG32(0x40027504u)
#define USBD_DTOGGLE REG32(0x4002750Cu)
#define USBD_DTOGGLE_DATA0 (1u << 8)
#define USBD_EPINEN REG32(0x40027510u)
#define USBD_EPOUTEN REG32(0x40027514u)
#define USBD_EPSTALL REG32(0x40027518u)
#define USBD_EPSTALL_STALL (1u << 8)
#define USBD_EPIN_PTR(n) REG32(0x40027600u + 0x14u * (n))
#define USBD_EPIN_MAXCNT(n) REG32(0x40027604u + 0x14u * (n))
#define USBD_EPOUT_PTR(n) REG32(0x40027700u + 0x14u * (n))
#define USBD_EPOUT_MAXCNT(n) REG32(0x40027704u + 0x14u * (n))

/* Not in the PS: the anomalies 171 and 187 of the nRF52840 Errata give these addresses. */
#define USBD_ANOMALY_KEY REG32(0x4006EC00u)
#define USBD_ANOMALY_KEY_TOGGLE 0x9375u
#define USBD_ANOMALY_171 REG32(0x4006EC14u)
#define USBD_ANOMALY_171_AWAKE 0xC0u
#define USBD_ANOMALY_187 REG32(0x4006ED14u)
#define USBD_ANOMALY_187_ON 3u

/** An event has happened; forgets it. The read makes sure that the peripheral has taken the write
 *  before the interrupt ends (PS, "Peripheral interface", interrupt clearing). */
static inline int nrf_take(volatile uint32_t *event) {
    if (*event == 0) {
        return 0;
    }
    *event = 0;
    (void)*event;
    return 1;
}

#endif
