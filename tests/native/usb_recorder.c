// SPDX-License-Identifier: Apache-2.0
//
// usb_recorder.c: usb_cdc.c as a library, which notes what it asks its driver to do.
#include <stdint.h>

#include "usb_cdc.h"

static usb_cdc_t device;

int usb_recorded_configuration = -1;
int usb_recorded_halt = -1; /* address, and bit 8 while halted */

void usb_cdc_port_configure(bool on) { usb_recorded_configuration = on; }

void usb_cdc_port_halt(uint8_t address, bool on) { usb_recorded_halt = address | (on ? 256 : 0); }

usb_cdc_t *usb_recorder_device(void) { return &device; }
