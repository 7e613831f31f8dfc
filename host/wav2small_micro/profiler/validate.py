# SPDX-License-Identifier: Apache-2.0
"""The cycle model against cycles that others measured and published.

`benchmarks/pqm4.json` holds counts of pqm4: PQClean's plain C, compiled with -O3, on a Cortex-M4 at
zero wait states. The same C comes from npm (or from a checkout), is compiled here, runs in QEMU
under the profiler's plugin, and gets its cycles from the model. SHA-3 is left out on both sides,
since pqm4 has assembler of its own for it: it tells the share of hashing. Compilers differ, so a
difference is that of model and compiler together.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wav2small_micro.errors import W2sError
from wav2small_micro.paths import repo_root
from wav2small_micro.profiler import program
from wav2small_micro.profiler.cycles import DEFAULT_REFILL, REFILLS
from wav2small_micro.profiler.image import Image, Span

_PATIENCE_S = 900.0
_HASHING = ("fips202.c", "sha2.c")


@dataclass(frozen=True)
class Published:
    """A row of the table."""

    scheme: str
    operation: str
    cycles: int
    hashing: float | None  # share that is left out, 0 to 1; None: all of it counts

    @property
    def work(self) -> float:
        """Cycles that are compared."""
        return self.cycles * (1 - (self.hashing or 0.0))


@dataclass(frozen=True)
class Comparison:
    """A published count and the model's, hashing left out of both."""

    published: Published
    instructions: int
    cycles: tuple[int, ...]  # for each refill of REFILLS

    def error(self, refill: int = DEFAULT_REFILL) -> float:
        """How far the model is above, relative."""
        return self.cycles[REFILLS.index(refill)] / self.published.work - 1

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "scheme": self.published.scheme,
            "operation": self.published.operation,
            "published_cycles": self.published.cycles,
            "published_hashing": self.published.hashing,
            "published_compared": round(self.published.work),
            "instructions": self.instructions,
            "cycles": dict(zip(map(str, REFILLS), self.cycles, strict=True)),
            "errors": {str(p): self.error(p) for p in REFILLS},
        }


@dataclass(frozen=True)
class Table:
    """The published counts, and where the programs are."""

    publication: str
    package: str
    """Of npm, as name@version; or the URL of its archive."""
    sha256: str
    folder: str
    rows: tuple[Published, ...]

    def schemes(self) -> list[str]:
        """In their order."""
        return list(dict.fromkeys(row.scheme for row in self.rows))


def published(path: Path | None = None) -> Table:
    """The table of the project, or another one of its form."""
    found = json.loads((path or repo_root() / "benchmarks" / "pqm4.json").read_text())
    source = found["source"]
    return Table(
        found["publication"],
        source["package"],
        source["sha256"],
        source["folder"],
        tuple(
            Published(scheme, operation, count, None if share is None else share / 100)
            for scheme, operation, count, share in found["rows"]
        ),
    )


def summary(found: list[Comparison], refill: int) -> dict[str, float]:
    """Mean and worst absolute error, and the mean with its sign."""
    errors = np.array([one.error(refill) for one in found])
    return {
        "mean_absolute": float(np.abs(errors).mean()),
        "worst_absolute": float(np.abs(errors).max()),
        "mean": float(errors.mean()),
    }


def run(
    table: Table,
    source: Path | None = None,
    schemes: list[str] | None = None,
    flags: Sequence[str] = (),
    progress: Callable[[str], None] = lambda what: None,
) -> list[Comparison]:
    """Compares. ``source``: a checkout of PQClean, or of pqm4; without one it is fetched from npm.
    ``flags``: options of the compiler behind FLAGS.

    Raises W2sError where it cannot be had, compiled or run.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = _checkout(source) if source else _fetch(table, Path(folder), progress)
        found = []
        for scheme in schemes or table.schemes():
            rows = [row for row in table.rows if row.scheme == scheme]
            if not rows:
                raise W2sError(
                    f"nothing is published of {scheme}", f"one of {', '.join(table.schemes())}"
                )
            progress(f"{scheme}: compiling")
            elf = build(root, scheme, Path(folder), flags)
            progress(f"{scheme}: running")
            counted = measure(elf, Path(folder))
            found += [
                Comparison(row, *_of(counted[row.operation], hashing=row.hashing is None))
                for row in rows
            ]
    return found


def _of(vectors: np.ndarray, *, hashing: bool) -> tuple[int, tuple[int, ...]]:
    """Instructions and cycles of the work, with the hashing or without."""
    vector = vectors.sum(axis=0) if hashing else vectors[0]
    return round(vector[0]), tuple(round(x) for x in vector[1:])


# --- The programs ---------------------------------------------------------------------------------


def _checkout(source: Path) -> Path:
    """The folder of PQClean in a checkout."""
    for folder in (source, source / "mupq" / "pqclean", source / "package/deps/PQClean"):
        if (folder / "crypto_kem").is_dir() and (folder / "common").is_dir():
            return folder.resolve()
    raise W2sError(
        f"{source} has neither crypto_kem nor mupq/pqclean",
        "name a checkout of PQClean, or of pqm4 with its submodules",
    )


def _fetch(table: Table, folder: Path, progress: Callable[[str], None]) -> Path:
    """Downloads and unpacks, once it is what the table names."""
    progress(f"fetching {table.package}")
    try:
        with urllib.request.urlopen(_archive_url(table.package), timeout=60) as answer:
            data = answer.read()
    except (OSError, subprocess.SubprocessError) as error:
        raise W2sError(
            f"cannot fetch {table.package}: {error}",
            "npm finds it, where that is installed; or name a checkout of PQClean or pqm4: "
            "w2s bench --validate --source FOLDER",
        ) from None
    if hashlib.sha256(data).hexdigest() != table.sha256:
        raise W2sError(
            f"{table.package} is not the file that the table is about", "try again later"
        )
    archive = folder / "source.tgz"
    archive.write_bytes(data)
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "source", filter="data")
    return folder / "source" / table.folder


def _archive_url(package: str) -> str:
    """Where the registry that npm is set up with has the package."""
    if "://" in package:
        return package
    command = ["npm", "view", package, "dist.tarball"]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return found.stdout.strip()


_HARNESS = """\
/* Runs each operation once, between two marks that the plugin sees. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "api.h"

#define CAT(a, b) a##b
#define NAME(what) CAT({prefix}, what)

{marks}

/* No random numbers: the same ones every time (xorshift, Marsaglia 2003). */
int PQCLEAN_randombytes(uint8_t *output, size_t n) {{
    static uint32_t state = 2463534242u;
    for (size_t i = 0; i < n; ++i) {{
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        output[i] = (uint8_t)state;
    }}
    return 0;
}}

/* The hashes keep their state on the heap, and give it back in the opposite order. */
static uint64_t heap[2048];
static size_t top;
void *malloc(size_t size) {{
    size_t words = (size + 7u) / 8u;
    if (top + words + 1u > sizeof heap / sizeof heap[0]) __asm volatile("udf #0");
    void *made = &heap[top];
    top += words + 1u;
    heap[top - 1u] = words;
    return made;
}}
void free(void *block) {{
    if (top > 0 && block == &heap[top - 1u - (size_t)heap[top - 1u]]) {{
        top -= (size_t)heap[top - 1u] + 1u;
    }}
}}

static uint8_t pk[NAME(CRYPTO_PUBLICKEYBYTES)], sk[NAME(CRYPTO_SECRETKEYBYTES)];
{body}
"""
_KEM = """
static uint8_t ct[NAME(CRYPTO_CIPHERTEXTBYTES)], a[NAME(CRYPTO_BYTES)], b[NAME(CRYPTO_BYTES)];
static void run(void) {
    mark_begin();
    NAME(crypto_kem_keypair)(pk, sk);
    mark_keypair();
    NAME(crypto_kem_enc)(ct, a, pk);
    mark_enc();
    NAME(crypto_kem_dec)(b, ct, sk);
    mark_dec();
    if (memcmp(a, b, sizeof a) != 0) __asm volatile("udf #0");
}
"""
_SIGN = """
static uint8_t m[59], out[59 + NAME(CRYPTO_BYTES)], back[59 + NAME(CRYPTO_BYTES)];
static size_t length;
static void run(void) {
    mark_begin();
    NAME(crypto_sign_keypair)(pk, sk);
    mark_keypair();
    NAME(crypto_sign)(out, &length, m, sizeof m, sk);
    mark_sign();
    if (NAME(crypto_sign_open)(back, &length, out, length, pk) != 0) __asm volatile("udf #0");
    mark_open();
}
"""
_OPERATIONS = {"crypto_kem": ("keypair", "enc", "dec"), "crypto_sign": ("keypair", "sign", "open")}


def build(root: Path, scheme: str, folder: Path, flags: Sequence[str] = ()) -> Path:
    """Compiles a scheme with the harness around it."""
    kind = next((k for k in _OPERATIONS if (root / k / scheme / "clean").is_dir()), None)
    if kind is None:
        raise W2sError(f"{root} has no {scheme}", "is it a whole checkout of PQClean?")
    code = root / kind / scheme / "clean"
    prefix = re.search(r"(PQCLEAN_\w+_CLEAN_)CRYPTO_BYTES", (code / "api.h").read_text())
    if prefix is None:
        raise W2sError(f"{code / 'api.h'} does not say CRYPTO_BYTES", "is it PQClean's?")
    harness, elf = folder / f"{scheme}.c", folder / f"{scheme}.elf"
    harness.write_text(
        _HARNESS.format(
            prefix=prefix[1],
            marks=program.marks(_OPERATIONS[kind]),
            body=_KEM if kind == "crypto_kem" else _SIGN,
        )
    )
    sources = [harness, *sorted(code.glob("*.c")), *(root / "common" / name for name in _HASHING)]
    program.build(elf, sources, [*flags, f"-I{code}", f"-I{root / 'common'}"])
    return elf


def measure(elf: Path, folder: Path) -> dict[str, np.ndarray]:
    """Each operation's instructions and cycles for each refill, (2, 1 + refills): of all but
    hashing, and of hashing."""
    return program.measure(
        elf,
        folder,
        apart=_hashing(Image(elf)),
        patience_s=_PATIENCE_S,
        hint="its operations do not agree with each other: is the checkout a released one?",
    )


def _hashing(image: Image) -> Iterator[Span]:
    for source in _HASHING:
        try:
            yield from image.functions_of(source)
        except W2sError:
            continue  # it uses the other
    for name in ("malloc", "free"):
        if name in image.functions:
            yield image.functions[name]
