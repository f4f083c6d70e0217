"""The tree of errors: as drawn, printed as one block, and whole after a journey."""

from __future__ import annotations

import copy
import errno
import inspect
import pickle
import re
from typing import Any

import pytest
from corpora import SECRET, leaked

from s3conn_magic import errors
from s3conn_magic.errors import InternalError, Place, S3ConnError

CLASSES = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, BaseException)]
NEEDED = {
    "usages": ("events", "load"),
    "action": "s3:ListBucket",
    "resource": "arn:aws:s3:::b",
    "attempts": 3,
    "rows_so_far": [1, 2],
    "reason": "the answer was cut",
}
PLACE = Place(2, 5, "LIST '…'", "^^^^")


def _made(kind: type[S3ConnError]) -> S3ConnError:
    named = inspect.signature(kind).parameters
    details = {name: value for name, value in NEEDED.items() if name in named}
    return kind("it went wrong", hint="Do this.", place=PLACE, notes=("one", "two"), **details)


def test_the_tree_is_drawn_as_it_is():
    """The docstring's tree has every class, below the class it derives from, and no other."""
    drawn: dict[str, str | None] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^ {4}([│├└─ ]*)([A-Z]\w+)", line)
        if found:
            depth = len(found[1]) // 3
            path = [*path[:depth], found[2]]
            drawn[found[2]] = path[depth - 1] if depth else None
    real = {one.__name__: one.__bases__[0].__name__ if one is not S3ConnError else None for one in CLASSES}
    assert drawn == real


def test_every_class_of_the_tree_says_in_its_docstring_what_happened():
    """The tree is the documentation of what a caller can catch."""
    assert all((inspect.getdoc(one) or "").partition("\n")[0].endswith(".") for one in CLASSES)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda one: one.__name__)
def test_an_error_makes_the_journey_to_another_process(kind: type[S3ConnError]):
    """Pickled, copied or not, it has its class, message, hint, place, notes and details."""
    error = _made(kind)
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(other) is kind
        assert vars(other) == vars(error)
        assert (other.args, str(other), other.block()) == (error.args, str(error), error.block())


@pytest.mark.parametrize("kind", CLASSES, ids=lambda one: one.__name__)
def test_an_error_is_one_short_block_in_a_notebook(kind: type[S3ConnError]):
    """IPython gets what, where, the notes and what to do, and no traceback."""
    assert _made(kind)._render_traceback_() == [
        f"{kind.__name__}: it went wrong",
        "  line 2, column 5",
        "    LIST '…'",
        "    ^^^^",
        "  one",
        "  two",
        "  Do this.",
    ]


def test_an_error_without_details_is_one_line():
    """No place, no notes, no hint: nothing but the message."""
    assert S3ConnError("it went wrong", hint="").block() == "S3ConnError: it went wrong"
    assert str(S3ConnError("it went wrong", hint="")) == "it went wrong"


def test_a_place_without_an_excerpt_is_line_and_column():
    """Where the text cannot be read safely, none of it is shown."""
    assert S3ConnError("x", hint="", place=Place(3, 4)).block() == "S3ConnError: x\n  line 3, column 4"


def test_a_colon_in_the_message_stays_in_it():
    """The text form is the block without the name of the class."""
    assert str(S3ConnError("a: b: c", hint="")) == "a: b: c"


def test_a_closer_place_is_kept():
    """`at` names the statement only where nothing more exact is known."""
    assert S3ConnError("x", hint="").at(PLACE).place is PLACE
    assert S3ConnError("x", hint="", place=PLACE).at(Place(1, 1)).place is PLACE


def test_an_unforeseen_exception_is_shown_by_its_kind_and_place_only():
    """What it says, which may be anything, is not repeated, nor kept."""
    error = InternalError.from_exception(_raised("s3conn_magic.made_up", RuntimeError(SECRET)))
    assert type(error) is InternalError
    assert re.fullmatch(r"unexpected RuntimeError at s3conn_magic\.made_up:\d+", error.message)
    assert not leaked(error.block() + repr(vars(error)) + repr(error.__context__) + repr(error.__cause__))


def _raised(module: str, error: Exception) -> Exception:
    """The error as code of that module has raised it."""
    code: dict[str, Any] = {"__name__": module, "error": error}
    exec("def fail(): raise error", code)
    with pytest.raises(type(error)) as caught:
        code["fail"]()
    return caught.value


LIBRARIES = ["botocore.parsers", "aiohttp.client", "pyarrow.lib", "duckdb", "pandas.core.frame", "urllib3.util"]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("kind", [ValueError, KeyError, RuntimeError, AttributeError])
def test_what_a_library_raises_is_no_defect_of_ours(library: str, kind: type[Exception]):
    """The error names the library and the kind, with a way on, and nothing that it says."""
    error = InternalError.from_exception(_raised(library, kind(SECRET)))
    assert not isinstance(error, InternalError)
    assert f"the library {library.partition('.')[0]} failed with {kind.__name__}" in error.message
    assert error.hint
    assert not leaked(error.block())


def test_what_the_system_refuses_is_said_as_the_system_does():
    """A full disk is no defect of ours, wherever it is met; a path is not repeated."""
    error = InternalError.from_exception(_raised("s3conn_magic.made_up", OSError(errno.ENOSPC, SECRET, SECRET)))
    assert type(error) is S3ConnError
    assert "No space left" in error.message
    assert not leaked(error.block())


def test_an_exception_that_was_never_raised_has_no_place():
    """It is said so, and nothing fails."""
    assert InternalError.from_exception(ValueError("x")).message == "unexpected ValueError at an unknown place"


def test_what_a_suite_forbids_is_said_with_what_to_allow():
    """An error of pytest-socket names it, and how sockets that are needed are allowed."""
    names = {"__name__": "pytest_socket"}
    exec("def refuse():\n    raise RuntimeError('blocked')", names)
    try:
        names["refuse"]()
    except RuntimeError as error:
        failure = InternalError.from_exception(error)
    assert failure.message == "pytest-socket blocks sockets in this process"
    assert "allow_unix_socket=True" in failure.hint
