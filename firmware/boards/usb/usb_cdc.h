/*
 * A serial port on USB, as far as no register is concerned: descriptors, requests, state.
 *
 * USB 2.0 ("USB"), chapter 9, and USB CDC 1.2 with its PSTN subclass 1.2 ("CDC", "PSTN"), abstract
 * control model. The driver of the chip's USB device hands SETUP packets and data stages in, and
 * does as the answer says; endpoint 0 has packets of 64 bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef USB_CDC_H
#define USB_CDC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Endpoints: notifications to the host (interrupt), and data both ways (bulk). */
enum { USB_CDC_NOTIFY = 1, USB_CDC_DATA = 2 };
enum { USB_CDC_PACKET = 64, USB_CDC_NOTIFY_PACKET = 16, USB_CDC_SETUP = 8 };

/** What the driver does next on endpoint 0. */
typedef enum {
    USB_CDC_STALL,   /**< refuses the request */
    USB_CDC_STATUS,  /**< ends it well: the status stage */
    USB_CDC_SEND,    /**< sends usb_cdc_next(), packet by packet, and then the status stage */
    USB_CDC_RECEIVE, /**< takes one packet from the host, for usb_cdc_data() */
    USB_CDC_NOTHING, /**< nothing: SET_ADDRESS, where the hardware answers it */
} usb_cdc_stage_t;

/** The device; all of it is this module's own. */
typedef struct {
    const char *product;
    uint64_t serial;
    uint8_t line_coding[7]; /* PSTN, table 17: rate (4), stop bits, parity, data bits */
    uint8_t configuration;  /* 0: not configured */
    uint8_t halted;         /* by bit of the endpoint, see endpoint_bit() */
    bool is_suspended;
    bool has_terminal;        /* the host set DTR: a program has the port open */
    bool was_heard;           /* or sent something, since not every program sets DTR */
    volatile bool is_touched; /* opened at 1200 baud and closed again */
    const uint8_t *data;      /* the data stage to the host: what is left of it */
    uint16_t left;
    bool ends_short; /* its last packet must be shorter than others, if need be empty */
    uint8_t reply[USB_CDC_PACKET]; /* what is not a constant */
} usb_cdc_t;

/** `product` is shown to people, at most 31 characters; `serial` tells boards apart. */
void usb_cdc_init(usb_cdc_t *cdc, const char *product, uint64_t serial);

/** The host reset the bus, or is gone. */
void usb_cdc_reset(usb_cdc_t *cdc);

/** The bus fell silent (USB, 7.1.7.6), or is alive again. */
void usb_cdc_suspend(usb_cdc_t *cdc, bool is_suspended);

/** A request came. Ends the one before, if that has not ended. */
usb_cdc_stage_t usb_cdc_setup(usb_cdc_t *cdc, const uint8_t setup[USB_CDC_SETUP]);

/** The next packet of the data stage to the host; false after the last. */
bool usb_cdc_next(usb_cdc_t *cdc, const uint8_t **packet, size_t *size);

/** The data stage from the host. */
usb_cdc_stage_t usb_cdc_data(usb_cdc_t *cdc, const uint8_t *bytes, size_t size);

/** Bytes came on the data endpoint. */
void usb_cdc_heard(usb_cdc_t *cdc);

/** Somebody on the host listens: what is sent otherwise would wait for ever. */
bool usb_cdc_is_open(const usb_cdc_t *cdc);

/** The host opened the port at 1200 baud and closed it: Arduino's and Adafruit's way to ask for the
 *  boot loader. */
bool usb_cdc_is_touched(const usb_cdc_t *cdc);

/// What the driver adds ///

/** The host chose the configuration, or none: enables the endpoints beside 0, their toggles at
 *  DATA0 and none of them halted, or disables them. */
void usb_cdc_port_configure(bool on);

/** Halts an endpoint, or ends that and sets its toggle to DATA0 (USB, 9.4.5). */
void usb_cdc_port_halt(uint8_t address, bool on);

#endif
