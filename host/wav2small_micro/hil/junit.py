# SPDX-License-Identifier: Apache-2.0
"""Results as JUnit XML, which every CI server reads."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from wav2small_micro.hil.suite import Result, Suite

# XML 1.0 holds no other characters, not even escaped.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(path: Path, suite: Suite) -> None:
    """Saves a test suite with a case a check; folders are made."""
    results = list(suite.results.values())
    root = ElementTree.Element(
        "testsuite",
        name="w2s hil",
        tests=str(len(results)),
        failures=str(_count(results, "fail")),
        errors="0",
        skipped=str(_count(results, "skip")),
        time=f"{sum(result.seconds for result in results):.3f}",
    )
    properties = ElementTree.SubElement(root, "properties")
    for name, value in suite.describe().items():
        ElementTree.SubElement(properties, "property", name=name, value=_clean(value))
    for result in results:
        _add(root, result)
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _count(results: list[Result], verdict: str) -> int:
    return sum(result.verdict == verdict for result in results)


def _add(root: ElementTree.Element, result: Result) -> None:
    case = ElementTree.SubElement(
        root, "testcase", classname="w2s.hil", name=result.name, time=f"{result.seconds:.3f}"
    )
    if result.verdict == "fail":
        first = result.findings[0].diagnosis
        failure = ElementTree.SubElement(case, "failure", type=first.name, message=first.meaning)
        failure.text = _clean("\n".join([*map(str, result.findings), first.advice]))
    elif result.verdict == "skip":
        ElementTree.SubElement(case, "skipped", message=_clean(result.skipped))
    output = ElementTree.SubElement(case, "system-out")
    output.text = _clean("\n".join([result.holds, *result.facts]))


def _clean(text: str) -> str:
    return _NO_XML.sub("�", text)
