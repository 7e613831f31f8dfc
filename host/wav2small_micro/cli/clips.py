# SPDX-License-Identifier: Apache-2.0
"""Clips as they are named on the command line: files, folders, patterns."""

from pathlib import Path

from wav2small_micro.audio import SUFFIXES
from wav2small_micro.errors import W2sError


def find_clips(named: list[str]) -> list[Path]:
    """The files that the arguments name, in order: folders are searched, patterns expanded.

    A file is taken as it is named, whether it exists or not: its error belongs to the clip, and
    the other clips are still of use. Raises W2sError for a folder or a pattern without clips.
    """
    found: list[Path] = []
    for name in named:
        path = Path(name)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
        elif not path.exists() and any(sign in name for sign in "*?["):
            inside = sorted(p for p in Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        else:
            inside = [path]
        if not inside:
            raise W2sError(f"no clips in {name}", f"looked for {', '.join(sorted(SUFFIXES))}")
        found += inside
    return found
