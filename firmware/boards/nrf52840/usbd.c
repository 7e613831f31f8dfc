/*
 * The link over the nRF52840's own USB device: usb_cdc.c with the registers of USBD.
 *
 * All of it happens in USBD's interrupt, which the program starts by hand when it has bytes to send
 * or room for more. The memory of an endpoint holds one packet; EasyDMA copies it from or to RAM in
 * a few microseconds, one endpoint at a time, which the interrupt waits for: so no task is started
 * while a copy runs (Errata, anomaly 199).
 *
 * Flow control: a packet from the host stays in the endpoint, and the hardware refuses (NAK) the
 * next one, until the ring has room for a whole packet. Nothing is lost.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "port.h"

#include "port_config.h"

#ifndef W2S_LINK_UART

#include <string.h>

#include "board.h"
#include "boot_loader.h"
#include "nrf52840.h"
#include "uart.h"
#include "usb_cdc.h"

/* Polls, some ms: a copy takes microseconds, and waking up (EVENTCAUSE, READY) as well. */
#define PATIENCE 20000u

/* From the host's closing of the port to the boot loader: the host's request must have its answer
 * first. */
#define TOUCH_MS 100u

/* One byte less than a packet: each is a short one, which the host hands on at once, and none needs
 * an empty packet after it (USB, 5.8.3). */
#define SEND_SIZE (USB_CDC_PACKET - 1u)

static usb_cdc_t cdc;
static volatile bool is_attached;
static volatile bool is_sending; /* the endpoint's packet waits for the host */
static volatile bool is_full;    /* a packet from the host waits in the endpoint */
static uint8_t outbox[USB_CDC_PACKET] __attribute__((aligned(4))); /* EasyDMA reads RAM alone */
static volatile uint32_t outbox_size;
static uint8_t packet[USB_CDC_PACKET] __attribute__((aligned(4)));
static bool is_odd; /* EasyDMA has copied an odd number of bytes */

static bool wait_for(volatile const uint32_t *reg, uint32_t mask) {
    for (uint32_t i = 0; i < PATIENCE; i++) {
        if ((*reg & mask) != 0) {
            return true;
        }
    }
    return false;
}

/// EasyDMA (PS, USBD, "EasyDMA") ///

static void copy_to_endpoint(uint32_t endpoint, const uint8_t *bytes, size_t size) {
    USBD_EPIN_PTR(endpoint) = (uint32_t)(uintptr_t)bytes;
    USBD_EPIN_MAXCNT(endpoint) = (uint32_t)size;
    USBD_EVENTS_ENDEPIN(endpoint) = 0;
    cortexm_barrier();
    USBD_TASKS_STARTEPIN(endpoint) = 1;
    (void)wait_for(&USBD_EVENTS_ENDEPIN(endpoint), 1u);
    is_odd ^= (size & 1u) != 0;
}

/* After it the endpoint takes the next packet. */
static size_t copy_from_endpoint(uint32_t endpoint) {
    const uint32_t there = USBD_SIZE_EPOUT(endpoint);
    const uint32_t size = there < sizeof packet ? there : sizeof packet;
    USBD_EPOUT_PTR(endpoint) = (uint32_t)(uintptr_t)packet;
    USBD_EPOUT_MAXCNT(endpoint) = size;
    USBD_EVENTS_ENDEPOUT(endpoint) = 0;
    USBD_TASKS_STARTEPOUT(endpoint) = 1;
    (void)wait_for(&USBD_EVENTS_ENDEPOUT(endpoint), 1u);
    cortexm_barrier();
    is_odd ^= (size & 1u) != 0;
    return size;
}

/// Endpoint 0 (PS, USBD, "Control transfers") ///

static void send_next(void) {
    const uint8_t *bytes;
    size_t size;
    if (!usb_cdc_next(&cdc, &bytes, &size)) {
        USBD_TASKS_EP0STATUS = 1;
        return;
    }
    memcpy(packet, bytes, size);
    copy_to_endpoint(0, packet, size);
}

static void proceed(usb_cdc_stage_t stage) {
    switch (stage) {
        case USB_CDC_SEND:
            send_next();
            break;
        case USB_CDC_RECEIVE:
            USBD_TASKS_EP0RCVOUT = 1;
            break;
        case USB_CDC_STATUS:
            USBD_TASKS_EP0STATUS = 1;
            break;
        case USB_CDC_STALL:
            USBD_TASKS_EP0STALL = 1;
            break;
        case USB_CDC_NOTHING:
            break;
    }
}

static void control_request(void) {
    uint8_t setup[USB_CDC_SETUP];
    for (uint32_t i = 0; i < sizeof setup; i++) {
        setup[i] = (uint8_t)USBD_SETUP(i);
    }
    proceed(usb_cdc_setup(&cdc, setup));
}

/* A packet of a data stage has passed; the request says which way. */
static void control_data(void) {
    if ((USBD_SETUP(0) & 0x80u) != 0) {
        send_next();
    } else {
        const size_t size = copy_from_endpoint(0);
        proceed(usb_cdc_data(&cdc, packet, size));
    }
}

/// The other endpoints ///

#define IN(endpoint) ((endpoint) | 0x80u)

void usb_cdc_port_halt(uint8_t address, bool on) {
    USBD_EPSTALL = address | (on ? USBD_EPSTALL_STALL : 0u);
    if (!on) {
        USBD_DTOGGLE = address | USBD_DTOGGLE_DATA0;
    }
}

void usb_cdc_port_configure(bool on) {
    const uint32_t in = 1u << USB_CDC_NOTIFY | 1u << USB_CDC_DATA;
    const uint32_t out = 1u << USB_CDC_DATA;
    USBD_EPINEN = 1u | (on ? in : 0u);
    USBD_EPOUTEN = 1u | (on ? out : 0u);
    outbox_size = 0;
    is_full = false;
    if (on) {
        usb_cdc_port_halt(IN(USB_CDC_NOTIFY), false);
        usb_cdc_port_halt(IN(USB_CDC_DATA), false);
        usb_cdc_port_halt(USB_CDC_DATA, false);
        USBD_SIZE_EPOUT(USB_CDC_DATA) = 0; /* takes packets from now on */
    }
}

static void forget(void) {
    usb_cdc_reset(&cdc);
    is_sending = false;
    is_full = false;
    outbox_size = 0;
}

static void receive(void) {
    if (!is_full || uart_room() < USB_CDC_PACKET) {
        return;
    }
    is_full = false;
    const size_t size = copy_from_endpoint(USB_CDC_DATA);
    for (size_t i = 0; i < size; i++) {
        uart_received(packet[i]);
    }
    usb_cdc_heard(&cdc);
}

static void transmit(void) {
    if (is_sending || outbox_size == 0) {
        return;
    }
    is_sending = true;
    copy_to_endpoint(USB_CDC_DATA, outbox, outbox_size);
    outbox_size = 0;
}

/// Interrupt ///

static void data_passed(void) {
    const uint32_t status = USBD_EPDATASTATUS;
    USBD_EPDATASTATUS = status;
    if ((status & USBD_EPDATASTATUS_IN(USB_CDC_DATA)) != 0) {
        is_sending = false;
    }
    if ((status & USBD_EPDATASTATUS_OUT(USB_CDC_DATA)) != 0) {
        is_full = true;
    }
}

static void bus_event(void) {
    const uint32_t cause = USBD_EVENTCAUSE;
    USBD_EVENTCAUSE = cause;
    if ((cause & USBD_EVENTCAUSE_SUSPEND) != 0) {
        usb_cdc_suspend(&cdc, true);
        outbox_size = 0;
    }
    if ((cause & USBD_EVENTCAUSE_RESUME) != 0) {
        usb_cdc_suspend(&cdc, false);
    }
}

/* What passed before a reset comes before it, and a request after it. */
void port_uart_irq(void) {
    if (!is_attached) {
        return;
    }
    if (nrf_take(&USBD_EVENTS_EPDATA)) {
        data_passed();
    }
    if (nrf_take(&USBD_EVENTS_EP0DATADONE)) {
        control_data();
    }
    if (nrf_take(&USBD_EVENTS_USBRESET)) {
        forget();
    }
    if (nrf_take(&USBD_EVENTS_USBEVENT)) {
        bus_event();
    }
    if (nrf_take(&USBD_EVENTS_EP0SETUP)) {
        control_request();
    }
    receive();
    transmit();
}

/// The plug ///

static void set_anomaly(volatile uint32_t *reg, uint32_t value) {
    const bool is_locked = USBD_ANOMALY_KEY == 0;
    if (is_locked) {
        USBD_ANOMALY_KEY = USBD_ANOMALY_KEY_TOGGLE;
    }
    *reg = value;
    if (is_locked) {
        USBD_ANOMALY_KEY = USBD_ANOMALY_KEY_TOGGLE;
    }
}

/* Without these writes USBD may not wake up (Errata, anomalies 171 and 187). */
static bool enable(void) {
    USBD_EVENTCAUSE = USBD_EVENTCAUSE_READY;
    set_anomaly(&USBD_ANOMALY_187, USBD_ANOMALY_187_ON);
    set_anomaly(&USBD_ANOMALY_171, USBD_ANOMALY_171_AWAKE);
    USBD_ENABLE = 1;
    const bool is_ready = wait_for(&USBD_EVENTCAUSE, USBD_EVENTCAUSE_READY);
    USBD_EVENTCAUSE = USBD_EVENTCAUSE_READY;
    set_anomaly(&USBD_ANOMALY_171, 0);
    set_anomaly(&USBD_ANOMALY_187, 0);
    return is_ready;
}

/* Enabled twice: the first time after a reset USBD may misbehave (Errata, anomaly 223). The pull-up
 * shows the host that there is a device (PS, USBD, "USB pull-up"). */
static void attach(void) {
    USBD_USBPULLUP = 0;
    USBD_ENABLE = 0;
    (void)enable();
    USBD_ENABLE = 0;
    if (!enable()) {
        USBD_ENABLE = 0;
        return; /* until the next poll */
    }
    is_odd = false;
    USBD_INTENCLR = 0xFFFFFFFFu;
    USBD_INTENSET = USBD_INT_USBRESET | USBD_INT_EP0DATADONE | USBD_INT_USBEVENT |
                    USBD_INT_EP0SETUP | USBD_INT_EPDATA;
    is_attached = true;
    USBD_USBPULLUP = 1;
}

/* EasyDMA must have copied an even number of bytes when USBD is disabled, or else it errs after the
 * next start: not in the Errata, but Zephyr's driver found it out. */
static void detach(void) {
    USBD_USBPULLUP = 0;
    if (is_odd) {
        copy_to_endpoint(0, packet, 1);
    }
    USBD_INTENCLR = 0xFFFFFFFFu;
    USBD_ENABLE = 0;
    is_attached = false;
    forget();
}

/* The host may see the device once its supply is regulated and its clock exact (PS, USBD, "USB
 * device power-up"). */
static void follow_the_plug(void) {
    const uint32_t status = POWER_USBREGSTATUS;
    const bool is_plugged = (status & POWER_USBREGSTATUS_VBUSDETECT) != 0;
    const bool is_able = (status & POWER_USBREGSTATUS_OUTPUTRDY) != 0 &&
                         (CLOCK_HFCLKSTAT & CLOCK_HFCLKSTAT_HFXO) == CLOCK_HFCLKSTAT_HFXO;
    if (is_attached == is_plugged || (is_plugged && !is_able)) {
        return;
    }
    const uint32_t mask = cortexm_mask();
    if (is_plugged) {
        attach();
    } else {
        detach();
    }
    cortexm_unmask(mask);
}

static void follow_the_touch(void) {
    static bool was_touched;
    static uint32_t since;
    if (!usb_cdc_is_touched(&cdc)) {
        return;
    }
    if (!was_touched) {
        was_touched = true;
        since = board_ms();
    } else if (board_ms() - since > TOUCH_MS) {
        (void)cortexm_mask();
        detach();
        boot_loader_enter();
    }
}

/// The link ///

void port_uart_init(uint32_t clock_hz) {
    (void)clock_hz;
    const uint64_t serial = (uint64_t)FICR_DEVICEID(1) << 32 | FICR_DEVICEID(0);
    usb_cdc_init(&cdc, board_facts()->name, serial);
    cortexm_enable_irq(PORT_UART_IRQ);
    follow_the_plug();
}

/* Where nobody listens, bytes are as good as sent. */
size_t port_uart_send(const uint8_t *bytes, size_t size) {
    const uint32_t mask = cortexm_mask();
    size_t count = size;
    if (usb_cdc_is_open(&cdc)) {
        const size_t room = SEND_SIZE - outbox_size;
        count = size < room ? size : room;
        memcpy(&outbox[outbox_size], bytes, count);
        outbox_size = outbox_size + (uint32_t)count;
    }
    cortexm_unmask(mask);
    if (count > 0) {
        cortexm_pend_irq(PORT_UART_IRQ);
    }
    return count;
}

void port_uart_poll(void) {
    follow_the_plug();
    follow_the_touch();
    if (is_full) {
        cortexm_pend_irq(PORT_UART_IRQ);
    }
}

#endif
