# SPDX-License-Identifier: Apache-2.0
"""The check of the cycle model, on programs whose cycles are counted by hand."""

import json
import tarfile
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wav2small_micro.cli.app import app
from wav2small_micro.errors import W2sError
from wav2small_micro.profiler import validate

pytestmark = pytest.mark.emulator

API = """
#define PQCLEAN_TOY_CLEAN_CRYPTO_PUBLICKEYBYTES 8
#define PQCLEAN_TOY_CLEAN_CRYPTO_SECRETKEYBYTES 8
#define PQCLEAN_TOY_CLEAN_CRYPTO_CIPHERTEXTBYTES 8
#define PQCLEAN_TOY_CLEAN_CRYPTO_BYTES 8
int PQCLEAN_TOY_CLEAN_crypto_kem_keypair(unsigned char *pk, unsigned char *sk);
int PQCLEAN_TOY_CLEAN_crypto_kem_enc(unsigned char *c, unsigned char *s, const unsigned char *pk);
int PQCLEAN_TOY_CLEAN_crypto_kem_dec(unsigned char *s, const unsigned char *c,
                                     const unsigned char *sk);
"""
# A turn: SUBS 1, BNE 1 + P to a word.
LOOP = """
#define LOOP(turns) \\
    __asm volatile("mov r0, %0\\n .balign 4\\n 1: subs.w r0, #1\\n bne 1b" \\
                   ::"r"(turns) : "r0", "cc")
"""
TOY = """
#include <stdlib.h>
#include "api.h"
#include "fips202.h"
int PQCLEAN_TOY_CLEAN_crypto_kem_keypair(unsigned char *pk, unsigned char *sk) {
    LOOP(100000);
    pk[0] = sk[0] = 1;
    return 0;
}
int PQCLEAN_TOY_CLEAN_crypto_kem_enc(unsigned char *c, unsigned char *s, const unsigned char *pk) {
    LOOP(200000);
    hash();
    free(malloc(100));
    c[0] = s[0] = pk[0];
    return 0;
}
int PQCLEAN_TOY_CLEAN_crypto_kem_dec(unsigned char *s, const unsigned char *c,
                                     const unsigned char *sk) {
    LOOP(300000);
    s[0] = c[0] & sk[0];
    return 0;
}
"""
ROWS = [
    ["toy", "keypair", 300_000, None],
    ["toy", "enc", 1_000_000, 40],  # 600,000 without hashing
    ["toy", "dec", 1_000_000, None],  # 10 % more than it is
]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Something of PQClean's shape."""
    root = tmp_path / "pqclean"
    code = root / "crypto_kem" / "toy" / "clean"
    code.mkdir(parents=True)
    (root / "common").mkdir()
    (root / "common" / "fips202.h").write_text(LOOP + "void hash(void);\n")
    hashing = '#include "fips202.h"\n__attribute__((noinline)) void hash(void) { LOOP(500000); }\n'
    (root / "common" / "fips202.c").write_text(hashing)
    (root / "common" / "sha2.c").write_text("typedef int nothing;\n")
    (code / "api.h").write_text(API)
    (code / "toy.c").write_text(TOY)
    return root


def table(folder: Path, url: str = "", digest: str = "") -> validate.Table:
    path = folder / "table.json"
    source = {"what": "", "package": url, "sha256": digest, "folder": "pqclean"}
    path.write_text(json.dumps({"publication": "a test", "source": source, "rows": ROWS}))
    return validate.published(path)


def test_errors_are_those_that_were_planted(checkout: Path, tmp_path: Path) -> None:
    keypair, enc, dec = validate.run(table(tmp_path), checkout)
    assert keypair.instructions == pytest.approx(200_000, rel=1e-3)
    for refill, cycles in ((1, 3), (2, 4), (3, 5)):
        assert keypair.error(refill) == pytest.approx(cycles / 3 - 1, abs=1e-3)
        assert enc.error(refill) == pytest.approx(cycles / 3 - 1, abs=1e-3)  # hashing left out
    assert dec.error(1) == pytest.approx(-0.1, abs=1e-3)
    errors = validate.summary([keypair, enc, dec], 1)
    assert errors["worst_absolute"] == pytest.approx(0.1, abs=1e-3)
    assert errors["mean_absolute"] == pytest.approx(0.1 / 3, abs=1e-3)
    assert errors["mean"] == pytest.approx(-0.1 / 3, abs=1e-3)


def test_an_archive_is_fetched_if_it_is_the_right_one(checkout: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(checkout, "pqclean")
    digest = sha256(archive.read_bytes()).hexdigest()
    found = validate.run(table(tmp_path, archive.as_uri(), digest))
    assert found[0].error(1) == pytest.approx(0, abs=1e-3)
    with pytest.raises(W2sError, match="not the file"):
        validate.run(table(tmp_path, archive.as_uri(), "0" * 64))


def test_what_is_not_there_is_told(checkout: Path, tmp_path: Path) -> None:
    with pytest.raises(W2sError, match="cannot fetch") as error:
        validate.run(table(tmp_path, (tmp_path / "gone.tgz").as_uri(), "0" * 64))
    assert "--source" in error.value.hint
    with pytest.raises(W2sError, match="cannot fetch"):
        validate.run(table(tmp_path, "no package of this name@1", "0" * 64))
    with pytest.raises(W2sError, match="neither crypto_kem"):
        validate.run(table(tmp_path), tmp_path)
    with pytest.raises(W2sError, match="nothing is published of pot"):
        validate.run(table(tmp_path), checkout, ["pot"])
    (checkout / "crypto_kem" / "toy" / "clean" / "toy.c").write_text("int broken")
    with pytest.raises(W2sError, match="does not compile"):
        validate.run(table(tmp_path), checkout)


def test_a_program_that_gives_wrong_results_is_no_measurement(
    checkout: Path, tmp_path: Path
) -> None:
    code = checkout / "crypto_kem" / "toy" / "clean" / "toy.c"
    code.write_text(TOY.replace("s[0] = c[0] & sk[0]", "s[0] = 7"))
    with pytest.raises(W2sError, match="ended early"):
        validate.run(table(tmp_path), checkout)


def test_the_command(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = table(tmp_path)
    monkeypatch.setattr(validate, "published", lambda: found)
    arguments = ["bench", "--validate", "--source", str(checkout)]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["rows"]) == len(ROWS)
    result = CliRunner().invoke(app, arguments)
    assert "toy dec" in result.output
    assert "10.0%" in result.output


def test_the_committed_table_is_whole() -> None:
    counts = validate.published()
    assert counts.package == "pqclean@0.8.1"
    assert len(counts.sha256) == 64
    assert len(counts.rows) >= 16
    assert all(row.cycles > 0 and 0 <= (row.hashing or 0) < 1 for row in counts.rows)
