# SPDX-License-Identifier: Apache-2.0
"""The HIL suite as tests: ``pytest --w2s-port=/dev/ttyACM0``, or ``--w2s-emulator=BOARD``.

Each check becomes a test, named ``w2s::CHECK`` and marked ``w2s_hil``, beside whatever else pytest
collects; ``-m w2s_hil`` leaves the rest out. Tests of one's own get the device by the fixture
``w2s_rig``. Nothing heavy is imported unless one of the two options is given.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from wav2small_micro.hil.rig import Rig
    from wav2small_micro.hil.suite import Suite

_MARK = "w2s_hil"
_SUITE = pytest.StashKey["Suite"]()
_DEFAULT_MODEL = "wav2small-72k"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options."""
    group = parser.getgroup("w2s", "Wav2Small Micro: hardware in the loop")
    group.addoption("--w2s-port", metavar="URL", help="a board: serial port or pyserial URL")
    group.addoption("--w2s-emulator", metavar="BOARD", help="a board in QEMU, by its environment")
    group.addoption("--w2s-model", default=_DEFAULT_MODEL, metavar="NAME", help="its model")
    group.addoption(
        "--w2s-clip", action="append", default=[], metavar="FILE", help="a clip; may be repeated"
    )
    group.addoption(
        "--w2s-seconds", type=float, default=5.0, metavar="S", help="live audio of the soak check"
    )
    group.addoption("--w2s-html", metavar="FILE", help="save the report")


def pytest_configure(config: pytest.Config) -> None:
    """Refuses what cannot work: two devices, or one device for several processes."""
    config.addinivalue_line("markers", f"{_MARK}: a check of the HIL suite")
    if config.option.w2s_port and config.option.w2s_emulator:
        raise pytest.UsageError("--w2s-port or --w2s-emulator, not both")
    if _wanted(config) and getattr(config.option, "numprocesses", None):  # of pytest-xdist
        raise pytest.UsageError("there is one device: run with -n 0")


def _wanted(config: pytest.Config) -> bool:
    return bool(config.option.w2s_port or config.option.w2s_emulator)


# --- One suite a run ------------------------------------------------------------------------------


def _suite(config: pytest.Config) -> Suite:
    """The suite, made when the first test asks for it."""
    if _SUITE not in config.stash:
        from wav2small_micro.engines.base import Model
        from wav2small_micro.hil.checks import CHECKS
        from wav2small_micro.hil.rig import Options, Rig, emulator_target, serial_target
        from wav2small_micro.hil.suite import Suite

        option = config.option
        model = Model.load(option.w2s_model)
        target = (
            serial_target(option.w2s_port)
            if option.w2s_port
            else emulator_target(option.w2s_emulator, model.folder)
        )
        clips = tuple(Path(name) for name in option.w2s_clip)
        rig = Rig(target, model, Options(clips=clips, soak_seconds=option.w2s_seconds))
        config.stash[_SUITE] = Suite(rig, CHECKS)
    return config.stash[_SUITE]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Lets the device go, and saves the report."""
    suite = config.stash.get(_SUITE, None)
    if suite is None:
        return
    suite.rig.close()
    if config.option.w2s_html and suite.results:
        from wav2small_micro.hil import report

        report.page(suite).write(Path(config.option.w2s_html))


@pytest.fixture(scope="session")
def w2s_rig(request: pytest.FixtureRequest) -> Rig:
    """The device under test: ``w2s_rig.device`` is the client, ``w2s_rig.network`` the library.

    A test that asks for it is skipped where no device was named.
    """
    if not _wanted(request.config):
        pytest.skip("no device: --w2s-port or --w2s-emulator names one")
    return _suite(request.config).rig


# --- Checks as tests ----------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Adds a test for each check, behind what was collected."""
    if not _wanted(config):
        return
    from wav2small_micro.hil.checks import CHECKS

    items += [CheckItem.from_parent(session, name=f"w2s::{check.name}") for check in CHECKS]


class CheckItem(pytest.Item):
    """A check of the suite."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(**rest)
        self.check = self.name.removeprefix("w2s::")
        self.add_marker(_MARK)

    def runtest(self) -> None:
        """Runs the check, and what it needs if that has not been run."""
        result = _suite(self.config).result(self.check)
        self.add_report_section("call", "what was seen", result.says)
        if result.verdict == "fail":
            raise CheckFailedError(
                "\n".join(f"{f}\n  {f.diagnosis.advice}" for f in result.findings)
            )
        if result.verdict == "skip":
            pytest.skip(result.skipped)

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        """The findings instead of a traceback through the suite."""
        from wav2small_micro.errors import W2sError

        if isinstance(excinfo.value, CheckFailedError):
            return str(excinfo.value)
        if isinstance(excinfo.value, W2sError):
            return f"{excinfo.value.message}\n  {excinfo.value.hint}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it is said to be."""
        return Path(__file__), None, self.name


class CheckFailedError(Exception):
    """A check did not hold."""
