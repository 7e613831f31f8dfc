# SPDX-License-Identifier: Apache-2.0
"""The figures of a model card: a marked section of the model's README.md, and ``evaluation.json``
beside it, both written by ``w2s evaluate --card`` and by nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from wav2small_micro.errors import W2sError
from wav2small_micro.evaluation.run import Result
from wav2small_micro.metrics import DIMENSIONS

BEGIN = "<!-- figures: begin (w2s evaluate --card writes what is between) -->"
END = "<!-- figures: end -->"


def write(result: Result, model: str, folder: Path, command: str) -> list[Path]:
    """Writes the figures of one model into its folder. ``command`` is what prints them again.

    Raises :class:`W2sError` when the markers of README.md are not a pair.
    """
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else f"# {model}\n"
    found = f"{BEGIN}\n{section(result, model, command)}\n{END}"
    if text.count(BEGIN) != text.count(END) or text.count(BEGIN) > 1:
        raise W2sError(
            f"{card} does not hold one pair of markers", f"leave one {BEGIN} before one {END}"
        )
    if BEGIN in text:
        before, rest = text.split(BEGIN)
        if END not in rest:
            raise W2sError(f"{card} ends its figures before it begins them", "swap the markers")
        text = before + found + rest.split(END)[1]
    else:
        text = f"{text.rstrip()}\n\n{found}\n"
    card.write_text(text, encoding="utf-8")
    kept = folder / "evaluation.json"
    document = result.to_json()
    for name in ("rows", "differences", "robustness"):
        document[name] = [row for row in document[name] if row["model"] == model or _other(row)]
    document["models"] = {model: document["models"][model]}
    lines = json.dumps(document, separators=(",", ":")).replace('{"model"', '\n{"model"')
    kept.write_text(lines.replace('{"disturbance"', '\n{"disturbance"') + "\n", encoding="utf-8")
    return [card, kept]


def _other(row: dict[str, Any]) -> bool:
    return row["engine"] in ("labels", "people")


def section(result: Result, model: str, command: str) -> str:
    """The figures in Markdown."""
    facts = result.facts
    own = [row for row in result.rows if row["model"] == model or _other(row)]
    parts = [
        f"CCC on {facts['clips']} clips ({facts['seconds'] / 60:.0f} minutes) of "
        f"{facts['speakers']} speakers, side `{facts['split']}` of the manifest. In brackets 95 % "
        "intervals from drawing whole speakers"
        + ("." if facts["speakers"] >= 10 else "; so few that even these are rough.")
    ]
    parts.append(_agreement(own))
    differences = [row for row in result.differences if row["model"] == model]
    if differences:
        parts += ["By how much it agrees better, on the same clips:", _differences(differences)]
    disturbed = [row for row in result.robustness if row["model"] == model]
    if disturbed:
        parts += [
            "What disturbances leave, as CCC of the disturbed answers with the undisturbed ones:",
            _robustness(disturbed),
        ]
    identity = facts["models"][model]
    parts += [
        f"Of `{identity['file']}`, SHA-256 `{identity['sha256'][:16]}...`, by:",
        f"```sh\n{command}\n```",
    ]
    return "\n\n".join(parts)


def short(value: float | None, digits: int = 2) -> str:
    """A figure without the nought before its point; near 1 it takes four digits to say how near.

    >>> short(0.8064), short(-0.0312, 3), short(-0.001), short(0.99987), short(1.0), short(None)
    ('.81', '-.031', '.00', '.9999', '1', '-')
    """
    if value is None:
        return "-"
    text = f"{value:z.{4 if 0.995 <= abs(value) < 1 else digits}f}"
    if float(text) in (1, -1):
        return text.split(".")[0]
    return text.replace("0.", ".", 1)


def interval(row: dict[str, Any], key: str = "ccc", form: str = "{} ({} to {})") -> str:
    """A figure with its interval: ``.81 (.74 to .83)``; differences with a digit more."""
    digits = 2 if key == "ccc" else 3
    if row["low"] is None:
        return short(row[key], digits)
    low, high = (short(row[bound], digits) for bound in ("low", "high"))
    return form.format(short(row[key], digits), low, high)


def _lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _by_dimension(
    rows: Sequence[dict[str, Any]], names: Sequence[str], key: str = "ccc"
) -> list[list[str]]:
    """Rows of three dimensions as one line each, in the order in which they came."""
    lines: dict[tuple[Any, ...], dict[str, str]] = {}
    for row in rows:
        about = tuple(str(row[name]) for name in names)
        lines.setdefault(about, {})[row["dimension"]] = interval(row, key)
    return [[*about, *(found.get(d, "-") for d in DIMENSIONS)] for about, found in lines.items()]


WORDS = {
    "human": "people, their mean",
    "teacher": "the teacher",
    "others": "one annotator against the others",
    "float": "its own float32",
    "c": "the C library on the host",
    "utterance": "itself, normalised over the clip",
}


def _agreement(rows: Sequence[dict[str, Any]]) -> str:
    shown = []
    for row in rows:
        if row["by"] not in ("", "corpus"):
            continue
        who = {"labels": f"teacher `{row['model']}`", "people": "annotators"}.get(
            row["engine"], f"engine `{row['engine']}`, {row['norm']}"
        )
        group = row["group"] if row["by"] else "all"
        shown.append({**row, "who": who, "with": WORDS[row["reference"]], "part": group})
    order = list(WORDS.values())
    shown.sort(key=lambda row: order.index(row["with"]))
    names = ("with", "who", "part", "n")
    head = ["agreement with", "of", "corpus", "clips", *DIMENSIONS]
    return _lines(head, _by_dimension(shown, names))


def _differences(rows: Sequence[dict[str, Any]]) -> str:
    shown = []
    for row in rows:
        two = row["minus"]
        if two["engine"] == "labels":
            than = "than the teacher"
        elif two["model"] != row["model"]:
            than = f"than `{two['model']}`"
        elif two["engine"] != row["engine"]:
            than = "than float32"
        else:
            than = "than normalised over the clip"
        who = f"engine `{row['engine']}`, {row['norm']}"
        shown.append({**row, "who": who, "than": than, "with": WORDS[row["reference"]]})
    head = ["", "of", "with", *DIMENSIONS]
    return _lines(head, _by_dimension(shown, ("than", "who", "with"), "difference"))


def _robustness(rows: Sequence[dict[str, Any]]) -> str:
    shown = [row for row in rows if row["reference"] == "clean"]
    names = ("disturbance", "engine", "norm", "n")
    head = ["disturbance", "engine", "normalisation", "clips", *DIMENSIONS]
    return _lines(head, _by_dimension(shown, names))
