# SPDX-License-Identifier: Apache-2.0
"""What can go wrong between host and device."""

from __future__ import annotations

from typing import ClassVar

from wav2small_micro.errors import W2sError
from wav2small_micro.link.messages import ErrorCode, Fault, FaultKind, Message, ResetCause


class LinkError(W2sError):
    """Base of all errors of the link."""


class LinkLost(LinkError):
    """The device does not answer, or the port is gone."""


class AudioLost(LinkError):
    """A message that is sent only once did not arrive, so the clip has to be run again."""


class WrongDevice(LinkError):
    """The device answers, but it is not what the host must talk to: protocol or model differ."""


class DeviceReset(LinkError):
    """The device started anew; sessions that ran are gone.

    `fault` is what ended the run before, when the device has said so.
    """

    def __init__(self, cause: int | None = None, fault: Fault | None = None) -> None:
        message = "the device was reset in the middle of a session"
        hint = "check the supply and the wiring"
        if cause is not None:
            message += f" ({enum_name(ResetCause, cause)})"
        if fault is not None:
            message += f": {describe_fault(fault)}"
            hint = f"look the address up: arm-none-eabi-addr2line -fe firmware.elf {fault.pc:#x}"
        super().__init__(message, hint)
        self.cause = cause
        self.fault = fault


class DeviceError(LinkError):
    """The device refuses a request and says why."""

    HINTS: ClassVar[dict[ErrorCode, str]] = {
        ErrorCode.BAD_VERSION: "build and flash the firmware of this checkout: w2s flash",
        ErrorCode.NOT_SUPPORTED: "choose another --norm, or build the firmware with the option",
        ErrorCode.MICROPHONE: "switch the board off and on; docs/boards says what to look at then",
        ErrorCode.TOO_LONG: "use a shorter clip, or build with more W2S_BUFFER_SECONDS",
        ErrorCode.UNKNOWN_TYPE: "build and flash the firmware of this checkout: w2s flash",
        ErrorCode.AUDIO_ERROR: "the clip is too short or its statistics contradict it",
    }

    def __init__(self, error: int, request_type: int, detail: int) -> None:
        self.error = ErrorCode(error) if error in set(ErrorCode) else None
        self.detail = detail
        request = Message.registry.get(request_type)
        name = request.wire_name() if request else f"request {request_type:#04x}"
        meaning = f": {self.error.doc}" if self.error else ""
        super().__init__(
            f"the device refuses {name} with {enum_name(ErrorCode, error)} {detail}{meaning}",
            self.HINTS.get(self.error, "") if self.error else "",
        )


def describe_fault(fault: Fault) -> str:
    """One line about a fault for people."""
    kind = enum_name(FaultKind, fault.kind)
    return (
        f"{kind} fault at {fault.pc:#010x}, called from {fault.lr:#010x}, "
        f"CFSR {fault.cfsr:#010x}, HFSR {fault.hfsr:#010x}, address {fault.address:#010x}"
    )


def enum_name(enum: type[ErrorCode] | type[FaultKind] | type[ResetCause], value: int) -> str:
    """The name of a value; the value itself where it has none."""
    return enum(value).name if value in set(enum) else str(value)
