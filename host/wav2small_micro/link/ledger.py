# SPDX-License-Identifier: Apache-2.0
"""Do both ends of a link tell the same story? Every frame that one end sent and the other did not
get is counted, and what counts of the two ends contradict each other is said.

with Device(transport) as device:
    ledger = Ledger(device)
    device.run(pcm)
    print(ledger.account())
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wav2small_micro.link.client import Device
    from wav2small_micro.link.messages import CountersReply

_WRAP = 2**32
_TRIES = 8


@dataclass(frozen=True)
class Account:
    """What both ends counted over a time. The device's names are those of COUNTERS_REPLY."""

    sent: int  # frames, by the host
    received: int  # frames, by the host
    repeated: int  # requests that the host sent again
    sent_blocks: int
    resent: int  # blocks that the host sent again
    abandoned: int  # blocks in flight when the host gave their session up
    lost_events: int  # by their sequence numbers
    noise_bytes: int  # received by the host, neither frame nor text
    restarts: int  # of the device: its counts begin anew, and cannot be compared
    frames_ok: int
    crc_errors: int
    framing_errors: int
    rx_overruns: int
    uart_errors: int
    blocks_accepted: int
    blocks_repeated: int
    blocks_refused: int
    tx_frames: int

    @property
    def lost_to_device(self) -> int:
        """Frames that the host sent and the device did not take."""
        return 0 if self.restarts else self.sent - self.frames_ok

    @property
    def lost_to_host(self) -> int:
        """Frames that the device sent and the host did not get."""
        return 0 if self.restarts else self.tx_frames - self.received

    @property
    def clean(self) -> bool:
        """Nothing was lost or damaged, and nothing was sent twice."""
        counts = (
            *(self.lost_to_device, self.lost_to_host, self.lost_events, self.noise_bytes),
            *(self.repeated, self.resent, self.abandoned, self.restarts),
            *(self.crc_errors, self.framing_errors, self.rx_overruns, self.uart_errors),
            *(self.blocks_repeated, self.blocks_refused),
        )
        return not any(counts)

    def contradictions(self, extra_up: int = 0, extra_down: int = 0) -> list[str]:
        """What cannot be, whatever was lost or damaged: each a sentence.

        `extra_up`, `extra_down`: frames that the line is known to have repeated by itself.
        """
        if self.restarts:
            return []
        blocks = self.blocks_accepted + self.blocks_repeated + self.blocks_refused
        again = self.repeated + self.resent + self.abandoned
        lost_up, lost_down = self.lost_to_device + extra_up, self.lost_to_host + extra_down
        found = []
        if lost_up < 0:
            found.append(f"the device took {-lost_up} frames that were never sent")
        if lost_down < 0:
            found.append(f"the host got {-lost_down} frames that were never sent")
        if lost_up > again + extra_up:
            found.append(f"{lost_up} frames were lost, but only {again} were sent again")
        if blocks > self.sent_blocks + extra_up:
            found.append(f"the device counts {blocks} blocks of {self.sent_blocks} sent")
        if self.blocks_accepted > self.sent_blocks - self.resent:
            found.append(f"the device took {self.blocks_accepted} blocks, some of them twice")
        if self.lost_events > lost_down:
            found.append(f"{self.lost_events} events are missing, but {lost_down} frames were lost")
        return found


class Ledger:
    """Accounts of a device from now on. Each costs a COUNTERS request."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self.restart()

    def restart(self) -> None:
        """Begins anew."""
        self._counters = self._read()
        self._host = self._host_counts()

    def account(self) -> Account:
        """What was counted since the start."""
        counters = self._read()
        before, now = self._host, self._host_counts()
        names = (
            *("frames_ok", "crc_errors", "framing_errors", "rx_overruns", "uart_errors"),
            *("blocks_accepted", "blocks_repeated", "blocks_refused", "tx_frames"),
        )
        return Account(
            **{name: now[name] - before[name] for name in now},
            **{name: _difference(self._counters, counters, name) for name in names},
        )

    def _read(self) -> CountersReply:
        """The device's counters when nothing is on its way. No byte overtakes another, so this
        is the moment of an exchange that needed no repetition."""
        for _ in range(_TRIES):
            repeated = self._device.repeated_requests
            counters = self._device.counters()
            if self._device.repeated_requests == repeated:
                break
        return counters

    def _host_counts(self) -> dict[str, int]:
        device = self._device
        return {
            "sent": device.sent_frames,
            "received": device.received_frames,
            "repeated": device.repeated_requests,
            "sent_blocks": device.sent_blocks,
            "resent": device.resent_blocks,
            "abandoned": device.abandoned_blocks,
            "lost_events": device.lost_events,
            "noise_bytes": device.noise_bytes,
            "restarts": device.restarts,
        }


def _difference(before: CountersReply, now: CountersReply, name: str) -> int:
    return (getattr(now, name) - getattr(before, name)) % _WRAP
