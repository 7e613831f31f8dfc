# SPDX-License-Identifier: Apache-2.0
"""How checks are run: in order, each with a result, none after one that it needs has failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from wav2small_micro.errors import W2sError
from wav2small_micro.hil.diagnosis import Diagnosis, Finding, by_blame
from wav2small_micro.hil.rig import Rig
from wav2small_micro.link.errors import (
    AudioLost,
    DeviceError,
    DeviceReset,
    LinkError,
    LinkLost,
    WrongDevice,
    describe_fault,
    enum_name,
)
from wav2small_micro.link.messages import FaultKind, ResetCause


@dataclass
class Outcome:
    """What a check found: findings, and figures worth telling."""

    findings: list[Finding] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    skipped: str = ""  # why it says nothing

    def find(self, diagnosis: Diagnosis, seen: str) -> None:
        """Adds a finding."""
        self.findings.append(Finding(diagnosis, seen))


@dataclass(frozen=True)
class Check:
    """A check. ``holds`` says what does when it passes; ``needs``: checks that must have passed."""

    name: str
    holds: str
    run: Callable[[Rig, Outcome], None]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """What became of a check."""

    name: str
    holds: str
    findings: tuple[Finding, ...]
    facts: tuple[str, ...]
    skipped: str
    seconds: float

    @property
    def verdict(self) -> str:
        """``pass``, ``fail`` or ``skip``."""
        if any(not finding.diagnosis.is_note for finding in self.findings):
            return "fail"
        return "skip" if self.skipped else "pass"

    @property
    def says(self) -> str:
        """What was seen, a line each."""
        return "\n".join(filter(None, [*map(str, self.findings), *self.facts, self.skipped]))

    def to_json(self) -> dict[str, Any]:
        """The shape that ``w2s hil --json`` prints."""
        return {
            "check": self.name,
            "holds": self.holds,
            "verdict": self.verdict,
            "findings": [{"diagnosis": f.diagnosis.name, "seen": f.seen} for f in self.findings],
            "facts": list(self.facts),
            "skipped": self.skipped or None,
            "seconds": round(self.seconds, 3),
        }


class Suite:
    """Checks against one device. Results are kept: what others need is run once."""

    def __init__(self, rig: Rig, checks: Iterable[Check]) -> None:
        self.rig = rig
        self.checks = {check.name: check for check in checks}
        self.results: dict[str, Result] = {}

    def run(self, names: Iterable[str] | None = None) -> None:
        """Runs these checks, or all of them."""
        for name in self.checks if names is None else names:
            self.result(name)

    def names(self, wanted: Iterable[str] | None = None) -> list[str]:
        """Names of checks that are, or begin with, one of ``wanted``, in the order of the suite.

        Raises W2sError where there is none.
        """
        if wanted is None:
            return list(self.checks)
        wanted = list(wanted)
        for start in wanted:
            if not any(_begins(name, start) for name in self.checks):
                raise W2sError(f"no check {start!r}", f"checks: {', '.join(self.checks)}")
        return [name for name in self.checks if any(_begins(name, start) for start in wanted)]

    def result(self, name: str) -> Result:
        """The result of a check, which is run if it was not yet."""
        if name not in self.results:
            check = self.checks[name]
            blocked = [need for need in check.needs if self.result(need).verdict != "pass"]
            self.results[name] = self._skipped(check, blocked) if blocked else self._run(check)
        return self.results[name]

    def _skipped(self, check: Check, blocked: list[str]) -> Result:
        reason = f"{', '.join(blocked)} did not pass"
        return Result(check.name, check.holds, (), (), reason, 0.0)

    def _run(self, check: Check) -> Result:
        self.rig.progress(f"{check.name}: {check.holds}")
        outcome, begin = Outcome(), time.perf_counter()
        try:
            check.run(self.rig, outcome)
        except LinkError as error:
            outcome.findings.append(from_error(error, self.rig))
        return Result(
            check.name,
            check.holds,
            tuple(by_blame(outcome.findings)),
            tuple(outcome.facts),
            outcome.skipped,
            time.perf_counter() - begin,
        )

    # --- What it comes to ----------------------------------------------------------------------

    @property
    def findings(self) -> list[Finding]:
        """Of all checks, causes first."""
        return by_blame(f for result in self.results.values() for f in result.findings)

    @property
    def passed(self) -> bool:
        """No check failed, and at least one passed."""
        verdicts = {result.verdict for result in self.results.values()}
        return "fail" not in verdicts and "pass" in verdicts

    def describe(self) -> dict[str, str]:
        """The device and the model, in names and values."""
        rig = self.rig
        found = {
            "device": rig.target.name,
            "model": f"{rig.model.plan.name} {rig.model.plan.sha256[:12]}",
        }
        if rig.met is None:
            return found
        facts = rig.met
        return found | {
            "board": facts.board,
            "runs": f"{facts.model} {facts.model_sha256.hex()[:12]}",
            "firmware": f"{facts.fw_major}.{facts.fw_minor}.{facts.fw_patch}",
            "clock": f"{facts.clock_hz / 1e6:g} MHz" + (", emulated" if rig.emulated else ""),
            "last reset": enum_name(ResetCause, facts.reset_cause),
        }

    def to_json(self) -> dict[str, Any]:
        """The shape that ``w2s hil --json`` prints."""
        watch, first = self.rig.watch, self.diagnosis
        return {
            **self.describe(),
            "passed": self.passed,
            "diagnosis": first.diagnosis.name if first else None,
            "seen": first.seen if first else None,
            "advice": first.diagnosis.advice if first else None,
            "checks": [result.to_json() for result in self.results.values()],
            "evidence": self.rig.evidence.to_json(),
            "line": watch.to_json() if watch else None,
        }

    @property
    def diagnosis(self) -> Finding | None:
        """What to look at first; None where all is well."""
        return next((f for f in self.findings if not f.diagnosis.is_note), None)

    @property
    def summary(self) -> str:
        """The verdict in a word: PASS, or the first diagnosis."""
        if self.diagnosis:
            return self.diagnosis.diagnosis.name
        return "PASS" if self.passed else "NOTHING CHECKED"


def _begins(name: str, start: str) -> bool:
    """Whether ``start`` is the name or the group before its dot.

    >>> _begins("rows.l1", "rows"), _begins("rows.l1", "rows.l1"), _begins("rowing", "row")
    (True, True, False)
    """
    return name == start or name.startswith(start + ".")


def from_error(error: LinkError, rig: Rig) -> Finding:
    """The diagnosis of what the client gave up on."""
    if isinstance(error, WrongDevice):
        return Finding(Diagnosis.WRONG_PROTOCOL, error.message)
    if isinstance(error, DeviceReset):
        if error.fault is None:
            return Finding(Diagnosis.RESET, error.message)
        stack = error.fault.kind == FaultKind.STACK
        return Finding(
            Diagnosis.FAULT_STACK if stack else Diagnosis.FAULT, describe_fault(error.fault)
        )
    if isinstance(error, AudioLost):
        return Finding(Diagnosis.LOST_FRAMES, error.message)
    if isinstance(error, LinkLost):
        # A device that dies does not answer either.
        deaths = rig.watch.deaths() if rig.watch else []
        return deaths[0] if deaths else Finding(_silence(rig), error.message)
    refused = isinstance(error, DeviceError)
    return Finding(Diagnosis.REFUSED if refused else Diagnosis.NONSENSE, error.message)


def _silence(rig: Rig) -> Diagnosis:
    """What it is that no answer comes."""
    if rig.watch is None:
        return Diagnosis.NO_PORT
    books = rig.watch.books
    if books.echoes:
        return Diagnosis.ECHO
    if books.received:
        return Diagnosis.SILENT
    if books.garbage_bytes or rig.watch.pending_bytes:
        return Diagnosis.NOISE
    return Diagnosis.NOT_OURS if books.banner else Diagnosis.SILENT
