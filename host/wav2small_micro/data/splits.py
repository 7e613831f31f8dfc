# SPDX-License-Identifier: Apache-2.0
"""Splits by speaker: nobody who is heard in training is measured on."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from wav2small_micro.data.manifest import SPLITS, Manifest, refuse_leaks
from wav2small_micro.errors import W2sError

Who = tuple[str, str]


def draw(
    manifest: Manifest, dev: float = 0.2, test: float = 0.0, seed: int = 0, again: bool = False
) -> Manifest:
    """The manifest with every speaker on one side, stratified by corpus and sex.

    ``dev`` and ``test`` are shares of the speakers. Rows that have a side keep it, and so do the
    other rows of their speakers, unless ``again``. The same seed draws the same sides, whatever the
    order of the rows. Raises :class:`W2sError` for shares that leave nothing, for clips without a
    speaker, and for fewer speakers than sides.
    """
    if min(dev, test) < 0 or not 0 < dev + test < 1:
        raise W2sError(f"shares {dev} and {test} leave nothing", "between 0 and 1 together")
    unknown = [row.path for row in manifest.rows if not row.speaker]
    if unknown:
        raise W2sError(
            f"{len(unknown)} clips have no speaker, {unknown[0]} the first",
            "a split needs them: fill in the column, or w2s data import --speaker",
        )
    if not again:
        refuse_leaks(manifest)
    sides: dict[Who, str] = {}
    sexes: dict[Who, Counter[str]] = {}
    for row in manifest.rows:
        sexes.setdefault(row.who, Counter())[row.sex] += 1
        if row.split and not again:
            sides[row.who] = row.split
    shares = {"dev": dev, "test": test}
    wanted = [side for side, share in shares.items() if share]
    if len(sexes) <= len(wanted):
        raise W2sError(
            f"{len(sexes)} speakers are too few for train and {' and '.join(wanted)}",
            "add speakers, or say which clips are whose",
        )
    sides = _fill(sides, sexes, shares, seed)
    return manifest.with_rows(replace(row, split=sides[row.who]) for row in manifest.rows)


def _fill(
    sides: dict[Who, str], sexes: Mapping[Who, Counter[str]], shares: Mapping[str, float], seed: int
) -> dict[Who, str]:
    """Sides for those who have none. Strata are gone through in order and each side takes what its
    share of the speakers so far still lacks, so that small strata add up to the share as well."""
    sides = dict(sides)
    strata: dict[tuple[str, str], list[Who]] = {}
    for who in sexes:
        sex = min(sexes[who], key=lambda name: (-sexes[who][name], name))
        strata.setdefault((who[0], sex), []).append(who)
    seen = 0
    for _, speakers in sorted(strata.items()):
        seen += len(speakers)
        free = sorted(
            (who for who in speakers if who not in sides), key=lambda who: _lot(who, seed)
        )
        for side, share in shares.items():
            lacking = round(share * seen) - sum(found == side for found in sides.values())
            for _ in range(min(lacking, len(free))):
                sides[free.pop()] = side
        sides |= dict.fromkeys(free, "train")
    for side in (side for side, share in shares.items() if share):
        if side not in sides.values():
            taken = max(
                (who for who in sides if sides[who] == "train"), key=lambda w: _lot(w, seed)
            )
            sides[taken] = side
    return sides


def _lot(who: Who, seed: int) -> str:
    return hashlib.sha256(repr((seed, *who)).encode()).hexdigest()


def counts(manifest: Manifest) -> dict[str, dict[str, int]]:
    """Clips and speakers by side, in the order of ``SPLITS``."""
    return {
        side or "none": {
            "clips": len(rows),
            "speakers": len({row.who for row in rows if row.speaker}),
        }
        for side in (*SPLITS, "")
        if (rows := [row for row in manifest.rows if row.split == side])
    }
