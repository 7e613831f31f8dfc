# SPDX-License-Identifier: Apache-2.0
"""Engines ``emulator`` and ``board``: the firmware itself, over the link."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro import pio
from wav2small_micro.emulator import NS_PER_INSTRUCTION, Emulator, LinkKind
from wav2small_micro.engines.base import Answer, Model
from wav2small_micro.errors import W2sError
from wav2small_micro.link.client import Device
from wav2small_micro.link.messages import LOGMEL_PER_DB, CountersReply, HelloReply, Layer, Norm
from wav2small_micro.link.session import SessionAnswer
from wav2small_micro.link.transport import DEFAULT_BAUD, SerialTransport, Transport

RATE = 16000
NORMS = {"utterance": Norm.GIVEN, "live": Norm.LIVE, "buffered": Norm.BUFFERED}
ROW_TAPS = (Layer.LOGMEL, Layer.LIN, Layer.SOF)
_STAGES = ("front_end", "network", "pool", "total")


class _DeviceEngine:
    """Runs clips on whatever answers at a transport, if it runs the model."""

    name: str

    def __init__(
        self, model: Model, transport: Transport, on_text: Callable[[str], None] | None
    ) -> None:
        sha256 = bytes.fromhex(model.plan.sha256)
        self.device = Device(transport, model_sha256=sha256, on_text=on_text)

    def run(self, pcm: NDArray[np.int16], *, norm: str = "utterance", rows: bool = False) -> Answer:
        """See :class:`~wav2small_micro.engines.base.Engine`; ``norm`` may also be ``buffered``.

        ``details``: what the device is, its counters, and the ticks of each stage; under exact
        counting also ``instructions``, of each stage, and ``instructions_per_second`` of audio.
        Rows multiply the traffic: nothing else about the answer depends on them.
        """
        if norm not in NORMS:
            raise W2sError(f"there is no normalisation {norm!r}", f"use one of {', '.join(NORMS)}")
        start = time.perf_counter()
        answer = self.device.run(pcm, norm=NORMS[norm], taps=ROW_TAPS if rows else ())
        seconds = time.perf_counter() - start
        details = {"seconds": seconds, **self._details(self.device.counters())}
        return Answer.from_q16(answer.adv_q16, details=details, **(_rows(answer) if rows else {}))

    def _details(self, counters: CountersReply) -> dict[str, Any]:
        facts = self.device.facts
        assert facts is not None
        ticks = {stage: getattr(counters, f"ticks_{stage}") for stage in _STAGES}
        return {
            "device": _describe(facts),
            "counters": asdict(counters),
            "ticks": ticks,
            "ticks_per_second": _per_second(ticks, counters.samples),
        }

    def close(self) -> None:
        """Gives the link back."""
        self.device.close()


class EmulatorEngine(_DeviceEngine):
    """The firmware in QEMU, built when it is out of date.

    ``env``: the board. ``transport``: ``semihosting`` (fast), ``uart`` or ``pty``. ``icount``:
    count instructions exactly. ``elf``: a firmware that is there already.
    """

    name = "emulator"

    def __init__(
        self,
        model: Model,
        *,
        env: str = pio.DEFAULT_ENV,
        transport: str = "semihosting",
        icount: bool = False,
        elf: Path | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> None:
        kinds = [kind.value for kind in LinkKind]
        if transport not in kinds:
            raise W2sError(f"there is no transport {transport!r}", f"use one of {', '.join(kinds)}")
        board = pio.emulated_board(env)
        self.emulator = Emulator(
            elf or pio.build(env, model.folder), board, link=LinkKind(transport), icount=icount
        )
        super().__init__(model, self.emulator.transport(), on_text)

    def _details(self, counters: CountersReply) -> dict[str, Any]:
        details = super()._details(counters)
        if self.emulator.icount:
            instructions = {
                stage: round(ticks * 1e9 / counters.tick_hz / NS_PER_INSTRUCTION)
                for stage, ticks in details["ticks"].items()
            }
            details["instructions"] = instructions
            details["instructions_per_second"] = _per_second(instructions, counters.samples)
        return details

    def close(self) -> None:
        """Ends QEMU."""
        super().close()
        self.emulator.close()


class BoardEngine(_DeviceEngine):
    """The firmware on a board. ``port``: any pyserial URL, such as ``/dev/ttyACM0``."""

    name = "board"

    def __init__(
        self,
        model: Model,
        *,
        port: str | None = None,
        baud: int = DEFAULT_BAUD,
        on_text: Callable[[str], None] | None = None,
    ) -> None:
        if port is None:
            raise W2sError("the engine `board` needs a port", "for example --port /dev/ttyACM0")
        super().__init__(model, SerialTransport(port, baud), on_text)


def _rows(answer: SessionAnswer) -> dict[str, NDArray[Any]]:
    logmel = answer.taps[Layer.LOGMEL].astype(np.float32) / np.float32(LOGMEL_PER_DB)
    return {"logmel": logmel, "lin": answer.taps[Layer.LIN], "sof": answer.taps[Layer.SOF]}


def _per_second(counts: dict[str, int], samples: int) -> dict[str, float]:
    """Counts divided by the seconds of audio that they belong to."""
    return {stage: count * RATE / samples for stage, count in counts.items()} if samples else {}


def _describe(facts: HelloReply) -> dict[str, Any]:
    return {
        "board": facts.board,
        "model": facts.model,
        "firmware": f"{facts.fw_major}.{facts.fw_minor}.{facts.fw_patch}",
        "clock_hz": facts.clock_hz,
        "boot_id": facts.boot_id,
        "reset_cause": facts.reset_cause,
    }
