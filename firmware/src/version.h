/* SPDX-License-Identifier: Apache-2.0 */
/* Version of the firmware. The protocol, the library and the model have their own. */
#ifndef VERSION_H
#define VERSION_H

#define FIRMWARE_VERSION_MAJOR 0
#define FIRMWARE_VERSION_MINOR 1
#define FIRMWARE_VERSION_PATCH 0

#endif
