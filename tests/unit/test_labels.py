# SPDX-License-Identifier: Apache-2.0
"""The file of labels: what was appended is there, whole, after any kill."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wav2small_micro.data import labels
from wav2small_micro.data.labels import Label, Store
from wav2small_micro.errors import W2sError


def label(number: int, spec: str = "") -> Label:
    a, d, v = (float(f"{(number * k % 97) / 96:.9g}") for k in (1, 5, 7))
    return Label(
        f'a, "{number}".flac', f"{number:064x}", a, d, v, "ridge", "1", "ab" * 32, "2", spec
    )


def test_labels_come_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "labels.csv"
    crop = label(1, '{"crop": [0, 32000]}')
    with Store(path) as store:
        store.append([label(1), label(2)])
        store.append([label(2), crop])
    with Store(path, "ab" * 32) as store:
        assert store.done == {label(1).key, label(2).key, crop.key}
        store.append([label(1), label(3)])
    assert labels.read(path) == [label(1), label(2), crop, label(3)]
    assert labels.by_path(labels.read(path))[label(1).path] == label(1)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_kill_at_any_byte_loses_no_more_than_the_line(
    tmp_path: Path, data: st.DataObject
) -> None:
    path = tmp_path / "labels.csv"
    path.unlink(missing_ok=True)
    made = [label(number) for number in range(6)]
    with Store(path) as store:
        store.append(made)
    content = path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut])
    with Store(path, "ab" * 32) as store:
        assert len(store.done) == max(0, content[:cut].count(b"\n") - 1)
        store.append(made)
    assert path.read_bytes() == content


def test_one_writer_at_a_time_and_one_teacher(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    with Store(path) as store:
        store.append([label(1)])
        with pytest.raises(W2sError, match="another process"):
            Store(path)
    with pytest.raises(W2sError, match="another teacher, ridge"):
        Store(path, "cd" * 32)
    with Store(path) as store:
        assert len(store.done) == 1


def test_nan_is_refused_on_both_ways(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    with Store(path) as store:
        with pytest.raises(W2sError, match="NaN"):
            store.append([label(1), replace(label(2), valence=float("nan"))])
        store.append([label(1)])
    path.write_text(path.read_text().replace(f"{label(1).valence:.9g}", "nan"))
    with pytest.raises(W2sError, match=r":2: valence is 'nan'"):
        labels.read(path)


def test_files_that_are_no_labels(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    with pytest.raises(W2sError, match="no labels at"):
        labels.read(path)
    path.write_text("path,arousal\na,0.5\n")
    with pytest.raises(W2sError, match="no column 'audio_sha256', 'dominance'"):
        labels.read(path)
    path.write_text(",".join(labels.COLUMNS) + "\na,b\n")
    with pytest.raises(W2sError, match=":2 is cut"):
        labels.read(path)
    path.write_bytes(b"\xff\n")
    with pytest.raises(W2sError, match="not a file of labels"):
        labels.read(path)
    path.write_text(",".join(labels.COLUMNS) + "\n")
    with pytest.raises(W2sError, match="has no labels"):
        labels.read(path)
    line = ",".join(["a", "0", "0", "0", "0", "t", "1", "w", "", ""])
    path.write_text(f"{','.join(labels.COLUMNS)}\n{line}\n{line}\n")
    with pytest.raises(W2sError, match=":3 labels a again"):
        labels.read(path)
