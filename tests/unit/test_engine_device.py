# SPDX-License-Identifier: Apache-2.0
"""Engines `emulator` and `board` against a scripted peer, and what they refuse."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from support.peer import Peer

from wav2small_micro.engines.device import BoardEngine, EmulatorEngine
from wav2small_micro.errors import W2sError
from wav2small_micro.link.errors import WrongDevice
from wav2small_micro.link.messages import Norm

PCM = np.arange(1000, dtype=np.int16)


@dataclass
class PeersModel:
    """What an engine reads of a model: the hash of the one that the peer claims to run."""

    sha256: str = bytes(range(32)).hex()

    @property
    def plan(self) -> SimpleNamespace:
        return SimpleNamespace(sha256=self.sha256)


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A device that follows a script."""
    peer = Peer()
    peer.start()
    yield peer
    peer.close()


@pytest.mark.parametrize(
    ("norm", "wire"),
    [("utterance", Norm.GIVEN), ("live", Norm.LIVE), ("buffered", Norm.BUFFERED)],
)
def test_answer_and_details(peer: Peer, norm: str, wire: Norm) -> None:
    with closing(BoardEngine(PeersModel(), port=peer.url)) as engine:  # type: ignore[arg-type]
        answer = engine.run(PCM, norm=norm)
    assert answer.adv_q16 is not None
    assert answer.adv.tolist() == (answer.adv_q16 / 65536).tolist()
    assert answer.lin is None
    assert answer.details["device"]["board"] == "peer"
    assert answer.details["counters"]["stack_high_water"] == 7
    assert answer.details["ticks_per_second"]["network"] == 16000
    assert peer.start_request is not None
    assert peer.start_request.norm == wire


def test_unknown_normalisation(peer: Peer) -> None:
    with (
        closing(BoardEngine(PeersModel(), port=peer.url)) as engine,  # type: ignore[arg-type]
        pytest.raises(W2sError, match="no normalisation 'loud'"),
    ):
        engine.run(PCM, norm="loud")


def test_board_with_another_model(peer: Peer) -> None:
    model = PeersModel(sha256="ff" * 32)
    with (
        closing(BoardEngine(model, port=peer.url)) as engine,  # type: ignore[arg-type]
        pytest.raises(WrongDevice),
    ):
        engine.run(PCM)


def test_board_without_a_port() -> None:
    with pytest.raises(W2sError, match="needs a port"):
        BoardEngine(PeersModel())  # type: ignore[arg-type]


def test_emulator_without_such_a_transport() -> None:
    with pytest.raises(W2sError, match="no transport 'pigeon'") as caught:
        EmulatorEngine(PeersModel(), transport="pigeon")  # type: ignore[arg-type]
    assert "semihosting, uart, pty" in caught.value.hint
