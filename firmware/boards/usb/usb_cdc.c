/* SPDX-License-Identifier: Apache-2.0 */
#include "usb_cdc.h"

#include <string.h>

/* pid.codes gives these to anybody for tests, as long as no device is sold with them: so they are
 * neither the board maker's, who has not made this firmware, nor ours. */
#ifndef USB_CDC_VENDOR
#define USB_CDC_VENDOR 0x1209
#define USB_CDC_PRODUCT 0x0001
#endif
#define USB_CDC_MAKER "Wav2Small Micro"

#define LOW(word) ((word)&0xFFu)
#define HIGH(word) ((word) >> 8)
#define TO_HOST 0x80u

/// Descriptors (USB, 9.6; CDC, 5.2.3; PSTN, 5.3) ///

enum { DEVICE = 1, CONFIGURATION = 2, STRING = 3, INTERFACE = 4, ENDPOINT = 5, ASSOCIATION = 11 };
enum { CS_INTERFACE = 0x24 };
enum { BULK = 2, INTERRUPT = 3 };
enum { STRING_LANGUAGES, STRING_MAKER, STRING_PRODUCT, STRING_SERIAL };
enum { CONTROL_INTERFACE = 0, DATA_INTERFACE = 1 };

/* Class 0xEF, 2, 1: look at the interface associations (USB ECN "Interface Association"). */
static const uint8_t device[] = {
    18,
    DEVICE,
    LOW(0x0200u),
    HIGH(0x0200u),
    0xEF,
    2,
    1,
    USB_CDC_PACKET,
    LOW(USB_CDC_VENDOR),
    HIGH(USB_CDC_VENDOR),
    LOW(USB_CDC_PRODUCT),
    HIGH(USB_CDC_PRODUCT),
    LOW(0x0100u),
    HIGH(0x0100u),
    STRING_MAKER,
    STRING_PRODUCT,
    STRING_SERIAL,
    1,
};

#define CONFIGURATION_SIZE (9 + 8 + 9 + 5 + 5 + 4 + 5 + 7 + 9 + 7 + 7)
static const uint8_t configuration[CONFIGURATION_SIZE] = {
    9,
    CONFIGURATION,
    LOW(CONFIGURATION_SIZE),
    HIGH(CONFIGURATION_SIZE),
    2,
    1,
    0,
    0x80,
    50, /* powered by the bus; 50 times 2 mA */
    8,
    ASSOCIATION,
    CONTROL_INTERFACE,
    2,
    2,
    2,
    0,
    0,
    /* Control: communications, abstract control model, no AT commands */
    9,
    INTERFACE,
    CONTROL_INTERFACE,
    0,
    1,
    2,
    2,
    0,
    0,
    5,
    CS_INTERFACE,
    0x00,
    LOW(0x0120u),
    HIGH(0x0120u), /* header: CDC 1.2 */
    5,
    CS_INTERFACE,
    0x01,
    0,
    DATA_INTERFACE, /* call management: none */
    4,
    CS_INTERFACE,
    0x02,
    0x02, /* ACM: line coding and line state */
    5,
    CS_INTERFACE,
    0x06,
    CONTROL_INTERFACE,
    DATA_INTERFACE, /* union */
    7,
    ENDPOINT,
    TO_HOST | USB_CDC_NOTIFY,
    INTERRUPT,
    USB_CDC_NOTIFY_PACKET,
    0,
    255,
    /* Data */
    9,
    INTERFACE,
    DATA_INTERFACE,
    0,
    2,
    0x0A,
    0,
    0,
    0,
    7,
    ENDPOINT,
    USB_CDC_DATA,
    BULK,
    USB_CDC_PACKET,
    0,
    0,
    7,
    ENDPOINT,
    TO_HOST | USB_CDC_DATA,
    BULK,
    USB_CDC_PACKET,
    0,
    0,
};

static const uint8_t languages[] = {4, STRING, 0x09, 0x04}; /* English */

/// Answers ///

static usb_cdc_stage_t send(usb_cdc_t *cdc, const uint8_t *bytes, size_t size, uint16_t wanted) {
    cdc->data = bytes;
    cdc->left = (uint16_t)(size < wanted ? size : wanted);
    /* Less than was asked for ends by a short packet (USB, 5.5.3). */
    cdc->ends_short = size < wanted;
    return wanted == 0 ? USB_CDC_STATUS : USB_CDC_SEND;
}

static usb_cdc_stage_t send_bytes(usb_cdc_t *cdc, uint8_t first, uint8_t second, size_t size,
                                  uint16_t wanted) {
    cdc->reply[0] = first;
    cdc->reply[1] = second;
    return send(cdc, cdc->reply, size, wanted);
}

static usb_cdc_stage_t send_text(usb_cdc_t *cdc, const char *text, uint16_t wanted) {
    size_t size = 2;
    for (; *text != '\0' && size + 2u <= sizeof cdc->reply; text++) {
        cdc->reply[size++] = (uint8_t)*text;
        cdc->reply[size++] = 0; /* UTF-16 */
    }
    return send_bytes(cdc, (uint8_t)size, STRING, size, wanted);
}

static usb_cdc_stage_t send_serial(usb_cdc_t *cdc, uint16_t wanted) {
    char text[17] = "";
    for (unsigned i = 0; i < 16u; i++) {
        text[i] = "0123456789ABCDEF"[(cdc->serial >> (60u - 4u * i)) & 0xFu];
    }
    return send_text(cdc, text, wanted);
}

bool usb_cdc_next(usb_cdc_t *cdc, const uint8_t **packet, size_t *size) {
    if (cdc->left == 0 && !cdc->ends_short) {
        return false;
    }
    *packet = cdc->data;
    *size = cdc->left < USB_CDC_PACKET ? cdc->left : USB_CDC_PACKET;
    cdc->ends_short = cdc->ends_short && *size == USB_CDC_PACKET;
    cdc->data += *size;
    cdc->left = (uint16_t)(cdc->left - *size);
    return true;
}

/// Requests (USB, 9.4; PSTN, 6.3) ///

typedef struct {
    uint16_t kind; /* bmRequestType and bRequest */
    uint16_t value;
    uint16_t index;
    uint16_t length;
} request_t;

#define KIND(type, request) ((type) << 8 | (request))

enum {
    GET_DEVICE_STATUS = KIND(0x80, 0),
    GET_INTERFACE_STATUS = KIND(0x81, 0),
    GET_ENDPOINT_STATUS = KIND(0x82, 0),
    CLEAR_ENDPOINT_FEATURE = KIND(0x02, 1),
    SET_ENDPOINT_FEATURE = KIND(0x02, 3),
    SET_ADDRESS = KIND(0x00, 5),
    GET_DESCRIPTOR = KIND(0x80, 6),
    GET_CONFIGURATION = KIND(0x80, 8),
    SET_CONFIGURATION = KIND(0x00, 9),
    GET_INTERFACE = KIND(0x81, 10),
    SET_INTERFACE = KIND(0x01, 11),
    SET_LINE_CODING = KIND(0x21, 0x20),
    GET_LINE_CODING = KIND(0xA1, 0x21),
    SET_CONTROL_LINE_STATE = KIND(0x21, 0x22),
};

enum { ENDPOINT_HALT = 0, LINE_STATE_DTR = 1u << 0, TOUCH_RATE = 1200 };

static usb_cdc_stage_t get_descriptor(usb_cdc_t *cdc, const request_t *request) {
    switch (request->value) {
        case DEVICE << 8:
            return send(cdc, device, sizeof device, request->length);
        case CONFIGURATION << 8:
            return send(cdc, configuration, sizeof configuration, request->length);
        case STRING << 8 | STRING_LANGUAGES:
            return send(cdc, languages, sizeof languages, request->length);
        case STRING << 8 | STRING_MAKER:
            return send_text(cdc, USB_CDC_MAKER, request->length);
        case STRING << 8 | STRING_PRODUCT:
            return send_text(cdc, cdc->product, request->length);
        case STRING << 8 | STRING_SERIAL:
            return send_serial(cdc, request->length);
        default: /* also the qualifier of devices that know high speed (USB, 9.6.2) */
            return USB_CDC_STALL;
    }
}

static usb_cdc_stage_t set_configuration(usb_cdc_t *cdc, const request_t *request) {
    if (request->value > 1u) {
        return USB_CDC_STALL;
    }
    cdc->configuration = (uint8_t)request->value;
    cdc->halted = 0;
    cdc->has_terminal = false;
    cdc->was_heard = false;
    usb_cdc_port_configure(cdc->configuration != 0);
    return USB_CDC_STATUS;
}

/* The endpoint's bit in `halted`, 0 where there is none such. */
static uint8_t endpoint_bit(const usb_cdc_t *cdc, uint16_t address) {
    if (cdc->configuration == 0) {
        return 0;
    }
    switch (address) {
        case TO_HOST | USB_CDC_NOTIFY:
            return 1u << 0;
        case USB_CDC_DATA:
            return 1u << 1;
        case TO_HOST | USB_CDC_DATA:
            return 1u << 2;
        default:
            return 0;
    }
}

static usb_cdc_stage_t get_endpoint_status(usb_cdc_t *cdc, const request_t *request) {
    const uint8_t bit = endpoint_bit(cdc, request->index);
    if (bit == 0 && (request->index & 0x7Fu) != 0) {
        return USB_CDC_STALL;
    }
    return send_bytes(cdc, (cdc->halted & bit) != 0, 0, 2, request->length);
}

static usb_cdc_stage_t set_endpoint_halt(usb_cdc_t *cdc, const request_t *request, bool on) {
    const uint8_t bit = endpoint_bit(cdc, request->index);
    if (bit == 0 || request->value != ENDPOINT_HALT) {
        return USB_CDC_STALL;
    }
    cdc->halted = (uint8_t)(on ? cdc->halted | bit : cdc->halted & ~bit);
    usb_cdc_port_halt((uint8_t)request->index, on);
    return USB_CDC_STATUS;
}

static bool is_interface(const usb_cdc_t *cdc, const request_t *request) {
    return cdc->configuration != 0 && request->index <= DATA_INTERFACE;
}

static bool is_control_interface(const usb_cdc_t *cdc, const request_t *request) {
    return cdc->configuration != 0 && request->index == CONTROL_INTERFACE;
}

static uint32_t rate(const usb_cdc_t *cdc) {
    const uint8_t *byte = cdc->line_coding;
    return (uint32_t)byte[0] | (uint32_t)byte[1] << 8 | (uint32_t)byte[2] << 16 |
           (uint32_t)byte[3] << 24;
}

static usb_cdc_stage_t set_line_state(usb_cdc_t *cdc, const request_t *request) {
    const bool has_terminal = (request->value & LINE_STATE_DTR) != 0;
    if (cdc->has_terminal && !has_terminal) {
        cdc->was_heard = false;
        cdc->is_touched = cdc->is_touched || rate(cdc) == TOUCH_RATE;
    }
    cdc->has_terminal = has_terminal;
    return USB_CDC_STATUS;
}

static usb_cdc_stage_t answer(usb_cdc_t *cdc, const request_t *request) {
    switch (request->kind) {
        case GET_DEVICE_STATUS:
            return send_bytes(cdc, 0, 0, 2, request->length);
        case GET_DESCRIPTOR:
            return get_descriptor(cdc, request);
        case SET_ADDRESS:
            return USB_CDC_NOTHING;
        case GET_CONFIGURATION:
            return send_bytes(cdc, cdc->configuration, 0, 1, request->length);
        case SET_CONFIGURATION:
            return set_configuration(cdc, request);
        case GET_ENDPOINT_STATUS:
            return get_endpoint_status(cdc, request);
        case CLEAR_ENDPOINT_FEATURE:
            return set_endpoint_halt(cdc, request, false);
        case SET_ENDPOINT_FEATURE:
            return set_endpoint_halt(cdc, request, true);
        default:
            break;
    }
    if (!is_interface(cdc, request)) {
        return USB_CDC_STALL;
    }
    switch (request->kind) {
        case GET_INTERFACE_STATUS:
            return send_bytes(cdc, 0, 0, 2, request->length);
        case GET_INTERFACE:
            return send_bytes(cdc, 0, 0, 1, request->length);
        case SET_INTERFACE:
            return request->value == 0 ? USB_CDC_STATUS : USB_CDC_STALL;
        default:
            break;
    }
    if (!is_control_interface(cdc, request)) {
        return USB_CDC_STALL;
    }
    switch (request->kind) {
        case SET_LINE_CODING:
            return request->length == sizeof cdc->line_coding ? USB_CDC_RECEIVE : USB_CDC_STALL;
        case GET_LINE_CODING:
            return send(cdc, cdc->line_coding, sizeof cdc->line_coding, request->length);
        case SET_CONTROL_LINE_STATE:
            return set_line_state(cdc, request);
        default:
            return USB_CDC_STALL;
    }
}

usb_cdc_stage_t usb_cdc_setup(usb_cdc_t *cdc, const uint8_t setup[USB_CDC_SETUP]) {
    const request_t request = {
        .kind = (uint16_t)KIND(setup[0], setup[1]),
        .value = (uint16_t)(setup[2] | setup[3] << 8),
        .index = (uint16_t)(setup[4] | setup[5] << 8),
        .length = (uint16_t)(setup[6] | setup[7] << 8),
    };
    cdc->left = 0;
    cdc->ends_short = false;
    return answer(cdc, &request);
}

/* SET_LINE_CODING is the only request with a data stage from the host. The rate means nothing to
 * USB, but GET_LINE_CODING tells it back. */
usb_cdc_stage_t usb_cdc_data(usb_cdc_t *cdc, const uint8_t *bytes, size_t size) {
    if (size != sizeof cdc->line_coding) {
        return USB_CDC_STALL;
    }
    memcpy(cdc->line_coding, bytes, size);
    return USB_CDC_STATUS;
}

/// State ///

void usb_cdc_init(usb_cdc_t *cdc, const char *product, uint64_t serial) {
    *cdc = (usb_cdc_t){.product = product, .serial = serial};
    static const uint8_t usual[] = {0x00, 0xC2, 0x01, 0x00, 0, 0, 8}; /* 115200 8N1 */
    memcpy(cdc->line_coding, usual, sizeof usual);
}

void usb_cdc_reset(usb_cdc_t *cdc) {
    cdc->configuration = 0;
    cdc->halted = 0;
    cdc->is_suspended = false;
    cdc->has_terminal = false;
    cdc->was_heard = false;
    cdc->left = 0;
    cdc->ends_short = false;
}

void usb_cdc_suspend(usb_cdc_t *cdc, bool is_suspended) { cdc->is_suspended = is_suspended; }

void usb_cdc_heard(usb_cdc_t *cdc) { cdc->was_heard = true; }

bool usb_cdc_is_open(const usb_cdc_t *cdc) {
    return cdc->configuration != 0 && !cdc->is_suspended && (cdc->has_terminal || cdc->was_heard);
}

bool usb_cdc_is_touched(const usb_cdc_t *cdc) { return cdc->is_touched; }
