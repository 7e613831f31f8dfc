# SPDX-License-Identifier: Apache-2.0
"""The host's side of MLPerf Tiny, against devices that follow a script, also a wrong one."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from wav2small_micro.engines.base import Answer
from wav2small_micro.errors import W2sError
from wav2small_micro.link.errors import LinkLost
from wav2small_micro.mlperf import benchmark, export
from wav2small_micro.mlperf.benchmark import Excerpt, Loop
from wav2small_micro.mlperf.device import DeviceUnderTest, Inference, MlperfError

ADV = np.array([32768, 0, -65], np.int32)
INFER = ["m-warmup-start-1", "m-warmup-done", "m-infer-start-2", "m-lap-us-100", "m-lap-us-2100"]
INFER += ["m-infer-done", "m-results-[0.50000,0.00000,-0.00099]"]
PCM = np.arange(100, dtype=np.int16)

Answers = dict[str, list[str] | bytes]


class Scripted:
    """A transport to a device that answers by a table: command's first word, or the whole of it."""

    name = "script"

    def __init__(self, answers: Answers, boot: bytes = b"", deaf: int = 0) -> None:
        self.answers = answers
        self.deaf = deaf  # to so many writes: it still starts
        self.commands: list[str] = []
        self._out = boot
        self._in = ""

    def write(self, data: bytes, timeout: float) -> None:
        if self.deaf > 0:
            self.deaf -= 1
            return
        self._in += data.decode()
        while "%" in self._in:
            command, _, self._in = self._in.partition("%")
            self.commands.append(command)
            self._out += self._answer(command)

    def _answer(self, command: str) -> bytes:
        default = [f"e-[Unknown command: {command}]"] if command else []
        answer = self.answers.get(command, self.answers.get(command.split(" ")[0], default))
        if isinstance(answer, bytes):
            return answer
        return "".join(f"{line}\r\n" for line in [*answer, "m-ready"]).encode()

    def read(self, timeout: float) -> bytes:
        part, self._out = self._out[:7], self._out[7:]
        return part

    def reopen(self, timeout: float) -> None:
        raise AssertionError("the runner does not")

    def close(self) -> None:
        pass


HONEST: Answers = {
    "name": ["m-name-dut-[a board]"],
    "profile": ["m-profile-[a firmware, a-model]", "m-model-[w2s01]"],
    "mode energy": ["m-timestamp-mode-energy"],
    "mode performance": ["m-timestamp-mode-performance"],
    "db": [],
    f"db {PCM.tobytes()[-14:].hex()}": ["m-load-done"],
    "infer": INFER,
}


@pytest.fixture
def device() -> Callable[..., DeviceUnderTest]:
    """Opens a device that answers as HONEST, but for what is changed."""

    def start(changes: Answers | None = None, boot: bytes = b"", deaf: int = 0) -> DeviceUnderTest:
        return DeviceUnderTest(Scripted({**HONEST, **(changes or {})}, boot, deaf), patience=0.05)

    return start


def test_what_the_device_says_reaches_the_caller(device: Any) -> None:
    under_test = device()
    identity = under_test.identify()
    assert (identity.name, identity.model) == ("a board", "w2s01")
    under_test.load(PCM)
    sent = [c for c in under_test._transport.commands if c.startswith("db ")]
    assert sent[0] == "db load 200"
    assert bytes.fromhex("".join(c[3:] for c in sent[1:])) == PCM.tobytes()
    assert all(len(c) <= 3 + 62 for c in sent)
    answer = under_test.infer(2, 1)
    assert list(answer.adv_q16) == list(ADV)
    assert answer.elapsed_us == 2000
    assert answer.seconds >= 0


@pytest.mark.parametrize(
    "boot",
    [
        b"m-timestamp-mode-performance\r\nm-lap-us-0\r\nm-init-done\r\nm-ready\r\n",
        b"m-ready\r\nm-ready\r\n",
        b"\0\x0c\xc3\0garbage \xff\n",
        b"m-load-done\r\nm-re",
        b"\0\x05\xc3\x80no line end",
    ],
)
def test_what_was_on_its_way_before_is_not_taken_for_an_answer(device: Any, boot: bytes) -> None:
    assert device(boot=boot).identify().name == "a board"


def test_a_device_that_still_starts_is_asked_again(device: Any) -> None:
    assert device(deaf=3).identify().name == "a board"
    with pytest.raises(LinkLost, match="nothing comes"):
        device(deaf=10**9)


@pytest.mark.parametrize(
    ("changes", "call", "words"),
    [
        ({"name": []}, lambda d: d.identify(), "name and profile"),
        ({"profile": ["m-profile-[]"]}, lambda d: d.identify(), "name and profile"),
        ({"db load 200": ["e-[80 fit]"]}, lambda d: d.load(PCM), "refuses 'db load 200': 80 fit"),
        ({f"db {PCM.tobytes()[-14:].hex()}": []}, lambda d: d.load(PCM), "not say"),
        ({"infer": ["e-[no]"]}, lambda d: d.infer(2, 1), "refuses 'infer 2 1': no"),
        ({"infer": INFER[:-1]}, lambda d: d.infer(2, 1), "no results"),
        ({"infer": [*INFER[:-1], "m-results-[nan,1,2]"]}, lambda d: d.infer(2, 1), "no results"),
        ({"infer": INFER[:4] + INFER[5:]}, lambda d: d.infer(2, 1), "answered by"),
        ({"infer": INFER[3:]}, lambda d: d.infer(2, 1), "answered by"),
        ({"infer": INFER}, lambda d: d.infer(3, 1), "answered by"),
        ({"infer": ["m-init-done"]}, lambda d: d.infer(2, 1), "started anew"),
        ({"mode energy": []}, lambda d: d.set_mode("energy"), "does not enter"),
    ],
)
def test_a_device_that_errs_is_told(device: Any, changes: Answers, call: Any, words: str) -> None:
    with pytest.raises(MlperfError, match=words):
        call(device(changes))


def test_a_refusal_leaves_the_conversation_in_step(device: Any) -> None:
    under_test = device({"infer 9 0": ["m-warmup-start-0", "e-[no]"]})
    with pytest.raises(MlperfError, match="no"):
        under_test.infer(9)
    assert under_test.identify().name == "a board"


@pytest.mark.parametrize("answer", [b"", b"m-ready", b"m-rea"])
def test_silence(device: Any, answer: bytes) -> None:
    with pytest.raises(LinkLost, match="nothing comes"):
        device({"name": answer}).identify()


def test_endless_noise(device: Any) -> None:
    with pytest.raises(MlperfError, match="no lines"):
        device({"name": b"x" * 9999}).identify()


# --- Loops and rules -----------------------------------------------------------------------------


class Same:
    """An engine that always answers the same."""

    name = "same"

    def __init__(self, adv_q16: np.ndarray = ADV) -> None:
        self._adv = adv_q16

    def run(self, pcm: np.ndarray, *, norm: str = "utterance", rows: bool = False) -> Answer:
        return Answer.from_q16(self._adv)

    def close(self) -> None:
        pass


def run(under_test: DeviceUnderTest, mode: str, runs: int | None = 2, **changes: Any) -> list[Loop]:
    clips = [Excerpt(f"{i}.wav", PCM) for i in range(2)]
    options: Any = {"mode": mode, "loops": 5, "runs": runs, "warmups": 1, **changes}
    return benchmark.run(under_test, clips, Same(), **options)


def test_clips_take_turns(device: Any) -> None:
    loops = run(device(), "performance")
    assert [loop.excerpt.name for loop in loops] == ["0.wav", "1.wav", "0.wav", "1.wav", "0.wav"]
    assert all(loop.identical for loop in loops)
    assert loops[0].throughput == 1000
    assert loops[0].instructions == 1e6
    assert [loop.excerpt.name for loop in run(device(), "accuracy")] == ["0.wav", "1.wav"]


def test_an_answer_that_differs_by_one_step_is_not_identical(device: Any) -> None:
    clips = [Excerpt("a.wav", PCM)]
    options: Any = {"mode": "performance", "loops": 1, "runs": 2, "warmups": 1}
    (loop,) = benchmark.run(device(), clips, Same(ADV + np.array([0, 1, 0], np.int32)), **options)
    assert not loop.identical


def test_runs_are_chosen_to_fill_the_time(device: Any) -> None:
    for mode, runs in (("performance", 2200), ("energy", 11000)):  # of 1 ms: see `infer 1 0`
        one = [line.replace("start-2", "start-1").replace("2100", "1100") for line in INFER]
        chosen = [line.replace("start-2", f"start-{runs}") for line in INFER]
        answers: Answers = {"infer 1 0": one, f"infer {runs} 1": chosen}
        assert run(device(answers), mode, None, loops=5)[0].inference.runs == runs


def test_the_device_leaves_energy_mode_whatever_happens(device: Any) -> None:
    under_test = device()
    run(under_test, "energy")
    assert under_test._transport.commands[-1] == "mode performance"
    under_test = device({"infer": ["e-[no]"]})
    with pytest.raises(MlperfError, match="no"):
        run(under_test, "energy")
    assert under_test._transport.commands[-1] == "mode performance"


def test_a_mode_that_there_is_not(device: Any) -> None:
    with pytest.raises(W2sError, match="speed"):
        run(device(), "speed")


def loop(seconds: float, silence: float = 1.0) -> Loop:
    return Loop(Excerpt("a", PCM), Inference(1, 0, ADV, 1, seconds, silence), ADV)


def test_rules() -> None:
    assert benchmark.broken_rules([loop(2.1)] * 5, "performance") == []
    assert "4 loops" in benchmark.broken_rules([loop(3)] * 4, "performance")[0]
    assert "9.5 s" in benchmark.broken_rules([loop(1.9)] * 5, "performance")[0]
    assert "5.5 s without a line" in benchmark.broken_rules([loop(6, 5.5)] * 5, "performance")[0]
    assert benchmark.broken_rules([loop(10.5, 11)] * 5, "energy") == []
    assert "9.0 s" in benchmark.broken_rules([loop(11, 11)] * 4 + [loop(9)], "energy")[0]
    assert benchmark.broken_rules([loop(0.1)], "accuracy") == []


# --- What the runner reads -----------------------------------------------------------------------


def test_export_is_what_the_runner_reads(tmp_path: Path) -> None:
    clips = [Excerpt("one.flac", PCM), Excerpt("two.wav", PCM[:50])]
    files = export.write(tmp_path, clips, Same(), runs=3, warmups=1)
    assert all(file.is_file() for file in files)
    with (tmp_path / "w2s01" / "y_labels.csv").open() as file:
        names = ["file", "classes", "class", "bytes_to_send", "stride"]
        rows = list(csv.DictReader(file, fieldnames=names))
    names = [row["file"] for row in rows]
    assert names == ["one.bin", "two.bin", "one.bin", "two.bin", "one.bin"], "a row for every loop"
    assert {int(row["class"]) for row in rows} == {0}
    for row, clip in zip(rows, clips, strict=False):
        data = (tmp_path / "w2s01" / row["file"]).read_bytes()
        assert np.array_equal(np.frombuffer(data, "<i2"), clip.pcm)
        assert int(row["bytes_to_send"]) == len(data)
    for mode, infer in (("performance", "3 1"), ("energy", "15 1"), ("accuracy", "1 0")):
        test = yaml.safe_load((tmp_path / f"tests_{mode}.yaml").read_text())["w2s01"]
        assert test["model"] == "w2s01"
        assert test["truth_file"] == "y_labels.csv"
        ((loop, steps),) = test["script"][0].items()
        assert loop == ("loop" if mode == "accuracy" else "loop 5")
        assert steps == ["download", f"infer {infer}"]
    devices = yaml.safe_load((tmp_path / "devices.yaml").read_text())
    assert [device["type"] for device in devices] == ["dut", "interface", "power"]
    assert set(devices[0]["baud"]) == {"performance", "accuracy", "energy"}
    known: set[tuple[int, int]] = set()
    for device in devices:
        for vendor, products in device["usb"].items():
            for product in products if isinstance(products, list) else [products]:
                assert (vendor, product) not in known, "the runner would take one for another"
                known.add((vendor, product))
    assert export.missing_classes(clips, Same()) == ["dominance", "valence"]


def test_export_of_two_clips_with_one_name(tmp_path: Path) -> None:
    clips = [Excerpt("a.wav", PCM), Excerpt("a.flac", PCM)]
    with pytest.raises(W2sError, match=r"two clips would become a\.bin"):
        export.write(tmp_path, clips, Same(), runs=1, warmups=0)
