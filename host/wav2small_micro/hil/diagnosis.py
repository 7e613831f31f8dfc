# SPDX-License-Identifier: Apache-2.0
"""What can be the matter with a device, each with a name of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Diagnosis(Enum):
    """A cause. The order is that of blame: an earlier one explains what comes after it."""

    meaning: str
    advice: str

    def __new__(cls, meaning: str, advice: str) -> Diagnosis:
        member = object.__new__(cls)
        member._value_ = len(cls.__members__)
        member.meaning = meaning
        member.advice = advice
        return member

    # Nobody there.
    HOST_DISAGREES = (
        "the engines of this machine and the golden vectors contradict each other",
        "not the device: make setup builds the library anew, w2s convert the vectors",
    )
    NO_PORT = "the port cannot be opened, or went away", "check cable, permissions and power"
    SILENT = (
        "nothing comes from the device",
        "is it the right port, is it powered, does the firmware run? w2s flash puts it there",
    )
    ECHO = "our own frames come back", "TX and RX are connected to each other: swap the wires"
    NOISE = (
        "bytes come that are neither frames nor text",
        "check the baud rate, the ground wire and the length of the cable",
    )
    NOT_OURS = (
        "the device prints text and answers no frame",
        "another firmware runs there: w2s flash",
    )

    # Somebody else.
    WRONG_PROTOCOL = "the link protocol has another version", "w2s flash the firmware here"
    WRONG_FIRMWARE = "the firmware has another version", "w2s flash the firmware here"
    WRONG_BOARD = "the firmware was built for another board", "name the right board, or w2s flash"
    WRONG_MODEL = "another model runs on the device", "w2s flash --model NAME, or hil --model NAME"
    STALE_MODEL = (
        "a model of this name, but not of this hash: an earlier training of it",
        "w2s flash it anew",
    )
    FORGED_MODEL = (
        "the hash is that of this model, the rows are those of another",
        "the weights in the firmware are not those that its header names: w2s generate, w2s flash",
    )

    # It does not live through it.
    FAULT_STACK = "the stack overflowed", "w2s size says how large it is; a call goes too deep"
    FAULT = "the firmware crashed", "look the address up: arm-none-eabi-addr2line -fe firmware.elf"
    RESET = "the device started anew during the run", "check the supply, the watchdog, the wiring"

    REFUSED = "the device refused what it must be able to do", "its message says why"

    NONSENSE = (
        "what the device sends contradicts itself or the protocol",
        "another firmware, or one of mixed versions: w2s flash",
    )

    # The line between us.
    RX_OVERRUN = (
        "the device could not take bytes as fast as they came",
        "lower the baud rate, or let the UART use DMA",
    )
    BITS_FLIPPED = "frames came with flipped bits", "check the ground wire; lower the baud rate"
    BYTES_DROPPED = (
        "frames came with bytes missing",
        "the host's adapter or a hub drops them: another port, a lower baud rate",
    )
    DAMAGED_OUTWARD = (
        "the device saw frames that were damaged on the way to it",
        "check the wire from the host's TX; lower the baud rate",
    )
    LOST_FRAMES = "whole frames did not arrive", "something between host and device swallows them"
    REORDERED = "frames came out of order", "a bridge in between does not keep the order"
    REPEATED = (
        "the device answered once more than it was asked",
        "is there a second reader, or a bridge that repeats?",
    )
    LATE = "answers came too late", "is the device, or its bridge, busy with something else?"

    # It computes something else.
    FRONT_END_DIFFERS = "log-mel rows differ", "firmware/lib/wav2small/logmel.c and its tables"
    INPUT_DIFFERS = "the log-mel is right, its int8 rows differ", "input_multiplier, input_zero"
    ROWS_MISSING = "a layer gave too few or too many rows", "w2s_offer and the end of a clip"
    ROWS_SWAPPED = "a layer's rows are right, their order is not", "line buffers, row numbers"
    ROWS_SHIFTED = "a layer's rows are right, but come too early or too late", "padding, delays"
    CHANNELS_SWAPPED = "a layer's channels are in another order", "the packing of its weights"
    WEIGHT_DIFFERS = "one weight of a layer is another", "compare flash with the ELF; w2s flash"
    BIAS_DIFFERS = "one bias of a layer is another", "compare flash with the ELF; w2s flash"
    SHIFT_DIFFERS = (
        "one channel of a layer is requantised by another shift",
        "compare flash with the ELF; w2s generate",
    )
    WEIGHTS_DIFFER = (
        "rows of a layer differ from the right rows before it",
        "its weights, its requantisation or its kernel: compare flash with the ELF",
    )
    POOL_DIFFERS = "the max pool differs, the rows before it are right", "the kernel set's pool"
    HEAD_DIFFERS = (
        "lin and sof are right, arousal, dominance or valence is not",
        "attention pool, exp table, head",
    )
    STALE_ANSWER = "the answer is that of another clip", "FINISH answers with an old result"
    WINDOWS_MISSING = "live windows did not come, or came twice", "session.c, watch_segments"
    WINDOWS_FROZEN = "every live window is the same", "w2s_window and its ring of segments"
    WINDOWS_DIFFER = "live windows differ", "w2s_window, the running normalisation"
    LEVEL_DIFFERS = "the level in live windows is wrong", "session.c, add_to_level"
    NOT_REPEATABLE = "the same clip gave two answers", "state that outlives a session"

    # What it says of itself.
    COUNTERS_DISAGREE = (
        "the device's counters and the host's contradict each other",
        "a counter that lies hides losses: session.c, link_reader.c, link_writer.c",
    )
    TICKS_IMPLAUSIBLE = "the times that the device tells cannot be", "board_ticks, tick_hz"
    STACK_LOW = "the stack is nearly full", "a larger stack, or shallower calls"

    # Right bits of a model that is not good enough.
    FAR_FROM_FLOAT = (
        "int8 is farther from float than promised",
        "the conversion of the model, not the device: w2s compare says the same",
    )

    # Good to know; these decide nothing.
    BANNER = "text before the first frame", "a boot banner; harmless"
    GARBAGE = (
        "garbage before the first frame",
        "the port was opened in the middle of something; harmless if it ends there",
    )

    EARLIER_FAULT = (
        "the firmware had crashed before this run",
        "not by this run, but somebody should know",
    )

    @property
    def is_note(self) -> bool:
        """Whether it is only good to know."""
        return self in (Diagnosis.BANNER, Diagnosis.GARBAGE, Diagnosis.EARLIER_FAULT)


@dataclass(frozen=True)
class Finding:
    """A diagnosis and what exactly was seen."""

    diagnosis: Diagnosis
    seen: str

    def __str__(self) -> str:
        return f"{self.diagnosis.name}: {self.seen}"


def by_blame(findings: Iterable[Finding]) -> list[Finding]:
    """Causes before their consequences, each finding once.

    >>> late, lost = (Finding(d, "") for d in (Diagnosis.LATE, Diagnosis.LOST_FRAMES))
    >>> [str(finding) for finding in by_blame([late, lost, late])]
    ['LOST_FRAMES: ', 'LATE: ']
    """
    return sorted(dict.fromkeys(findings), key=lambda finding: finding.diagnosis.value)
