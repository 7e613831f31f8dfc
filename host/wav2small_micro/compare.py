# SPDX-License-Identifier: Apache-2.0
"""Run clips through engines side by side."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from wav2small_micro.audio import read_clip
from wav2small_micro.engines import base
from wav2small_micro.errors import W2sError
from wav2small_micro.report import ClipReport


@contextmanager
def open_engines(
    names: Sequence[str],
    model: base.Model,
    *,
    env: str,
    port: str | None = None,
    icount: bool = False,
) -> Iterator[dict[str, base.Engine]]:
    """The engines by name, all of one model, closed at the end.

    ``env`` is the board of ``emulator``, ``icount`` makes it count instructions; ``port`` is where
    ``board`` is. Raises W2sError for a name that is not an engine, before any is started.
    """
    options: dict[str, dict[str, Any]] = {
        "emulator": {"env": env, "icount": icount},
        "board": {"port": port},
    }
    for name in names:
        if name not in base.ENGINES:
            raise W2sError(f"no engine {name!r}", f"engines: {', '.join(base.ENGINES)}")
    with ExitStack() as stack:
        engines = {}
        for name in names:
            engines[name] = base.create(name, model, **options.get(name, {}))
            stack.callback(engines[name].close)
        yield engines


def run_clip(
    path: Path, engines: Mapping[str, base.Engine], norm: str, *, rows: bool = True
) -> ClipReport:
    """One clip through every engine. What fails is in the report, not raised."""
    report = ClipReport(str(path))
    try:
        clip = read_clip(path)
    except W2sError as error:
        report.errors["clip"] = error.message
        return report
    report.seconds, report.warnings = clip.seconds, clip.warnings
    answers = {}
    for name, engine in engines.items():
        try:
            answers[name] = engine.run(clip.pcm, norm=norm, rows=rows)
        except W2sError as error:
            report.errors[name] = error.message
    report.take(answers)
    return report
