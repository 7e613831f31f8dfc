// SPDX-License-Identifier: Apache-2.0
//
// fuzz_usb.c: any requests of a USB host, in any order, as a driver would hand them in.
// Promises (docs/security.md): S1, S14.
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "usb_cdc.h"

static int is_enabled;

void usb_cdc_port_configure(bool on) { is_enabled = on; }

void usb_cdc_port_halt(uint8_t address, bool on) {
    (void)on;
    CHECK(is_enabled);
    CHECK((address & 0x7F) == USB_CDC_NOTIFY || (address & 0x7F) == USB_CDC_DATA);
}

// Never more than was asked for, in packets that end as USB wants them to.
static void data_stage(usb_cdc_t *cdc, size_t wanted) {
    const uint8_t *packet;
    size_t size;
    size_t sent = 0;
    size_t last = USB_CDC_PACKET;
    while (usb_cdc_next(cdc, &packet, &size)) {
        uint8_t copy[USB_CDC_PACKET];
        CHECK(size <= USB_CDC_PACKET && last == USB_CDC_PACKET);
        memcpy(copy, packet, size);
        sent += size;
        last = size;
    }
    CHECK(sent <= wanted);
    CHECK(sent == wanted || last < USB_CDC_PACKET);
}

static void request(usb_cdc_t *cdc, const uint8_t *data, size_t size) {
    switch (usb_cdc_setup(cdc, data)) {
        case USB_CDC_SEND:
            data_stage(cdc, (size_t)(data[6] | data[7] << 8));
            break;
        case USB_CDC_RECEIVE: {
            uint8_t *bytes = malloc(size - USB_CDC_SETUP + 1u);  // the sanitizer sees one beyond
            memcpy(bytes, data + USB_CDC_SETUP, size - USB_CDC_SETUP);
            const usb_cdc_stage_t stage = usb_cdc_data(cdc, bytes, size - USB_CDC_SETUP);
            CHECK(stage == USB_CDC_STATUS || stage == USB_CDC_STALL);
            free(bytes);
            break;
        }
        default:
            break;
    }
    CHECK(is_enabled || !usb_cdc_is_open(cdc));
}

// A byte says what happens; a request has the eight bytes after it, and up to seven of data.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    usb_cdc_t cdc;
    usb_cdc_init(&cdc, "a board of the fuzzer", 0x0123456789ABCDEFu);
    is_enabled = 0;
    while (size > 0) {
        const uint8_t what = *data++;
        size--;
        if (what == 0xFE) {
            usb_cdc_reset(&cdc);
            usb_cdc_port_configure(false);
        } else if (what == 0xFD) {
            usb_cdc_heard(&cdc);
        } else if (what >= 0xFB) {
            usb_cdc_suspend(&cdc, what == 0xFC);
        } else if (size >= USB_CDC_SETUP) {
            const size_t extra = what % (USB_CDC_PACKET + 1u);
            const size_t there = size < USB_CDC_SETUP + extra ? size : USB_CDC_SETUP + extra;
            request(&cdc, data, there);
            data += there;
            size -= there;
        } else {
            break;
        }
    }
    return 0;
}
