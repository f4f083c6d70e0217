"""The leak matrix: no piece of a secret in any sink, whatever a statement does; and ten leaks that it must find."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kernels import started
from leak_matrix import Matrix
from leak_observer import PLANTS
from leak_patterns import ENCODINGS, SECRETS, Patterns
from leak_scenarios import EXPECTED, STATEMENTS, all_scenarios, short
from leak_server import telling

from s3conn_magic.language.reference import STATEMENTS as REFERENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

FOUND_IN = {
    "a repr": "repr of connection",
    "a log line": "log",
    "a trait": "vars of result",
    "an exception's message": "shell execute_reply",
    "a chained exception": "chained traceback",
    "a temporary file": "files of temporary",
    "the history": "history file",
    "an iopub message": "iopub display_data",
    "an environment variable": "environment",
    "a widget's state": "widget state",
}


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    """A kernel with its connections, all of whose files are in one folder."""
    folder = tmp_path_factory.mktemp("leaks")
    places = [folder / name for name in ("work", "temporary", "ipython", "home")]
    for place in places:
        place.mkdir()
    work, temporary, ipython, home = places
    streams = [folder / "stdout", folder / "stderr"]
    out, err = (one.open("wb") for one in streams)
    with pytest.MonkeyPatch.context() as patch, telling() as told, out, err:
        for name, place in (("TMPDIR", temporary), ("IPYTHONDIR", ipython), ("HOME", home)):
            patch.setenv(name, str(place))
        with started(work, stdout=out, stderr=err) as kernel:
            made = Matrix(kernel, told, folder, [*places, *streams])
            try:
                assert not made.set_up().hits
                yield made
            finally:
                made.stop()


def test_no_secret_is_seen_anywhere(matrix: Matrix, record_property):
    """No eight characters of a secret, in any encoding, are in any sink, whatever becomes of any statement."""
    scenarios = sorted(all_scenarios(), key=lambda one: list(EXPECTED).index(one.outcome))
    report = matrix.run(scenarios)
    record_property("summary", str(report))
    assert not report.hits
    assert report.outcomes == set(EXPECTED)
    assert report.statements == set(STATEMENTS)


def test_the_matrix_has_every_statement():
    """A statement of the language without a line in the matrix is an error."""
    assert set(STATEMENTS) == {one.name for one in REFERENCE}


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_leak_is_found(matrix: Matrix, plant: str):
    """Where the package is made to leak, the matrix says in which sink."""
    matrix.inside(f"_plant = _leak.PLANTS[{plant!r}](_observer.secrets['secret key']); _plant.__enter__()")
    try:
        report = matrix.run(short())
    finally:
        matrix.inside("_plant.__exit__(None, None, None)")
    assert FOUND_IN[plant] in {sink for _, sink, _ in report.hits}
    assert {hit.secret for _, _, hit in report.hits} >= {"secret key"}


def test_every_encoding_of_every_secret_is_found():
    """Each secret in each encoding, whole or any eight characters of it, is found in the midst of other bytes."""
    patterns = Patterns()
    for shift in (0, 3):
        data = b"".join(b"\xfe" * shift + b"lorem " + piece + b" ipsum" for piece in patterns.pieces)
        hits = {(hit.secret, hit.encoding): hit for hit in patterns.find(data)}
        assert set(hits) == set(patterns.pieces.values())
        assert len(list(patterns.find(data))) >= len(patterns.pieces)
    assert {encoding for _, encoding in patterns.pieces.values()} <= set(ENCODINGS)
    assert {secret for secret, _ in patterns.pieces.values()} == set(SECRETS)
    assert not list(patterns.find(b"nothing of the kind" * 1000))
