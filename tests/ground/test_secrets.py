"""A Secret shows, stores and hands on nothing but by `reveal()`."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import json
import logging
import pickle
import pprint
import string

import pytest
from corpora import KEY, SECRET, leaked
from hypothesis import given
from hypothesis import strategies as st

from s3conn_magic.secrets import Secret

MASK = "<REDACTED>"


def test_reveal_gives_the_text():
    """What was put in comes out, to the last character."""
    assert Secret(SECRET).reveal() == SECRET


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        ascii,
        format,
        "{}".format,
        "{!r}".format,
        "{:>20}".format,
        pprint.pformat,
        lambda one: f"{one}",
        lambda one: "%s %r" % (one, one),  # noqa: UP031 - this form, too
        lambda one: str([one]),
        lambda one: str({"a": one}),
        lambda one: string.Template("$a").substitute(a=one),
    ],
)
def test_no_text_form_shows_it(show):
    """Every way to print a Secret prints the mask."""
    shown = show(Secret(SECRET))
    assert MASK in shown
    assert not leaked(shown)


def test_a_dataclass_that_holds_it_does_not_show_it():
    """A Secret in a field is masked in the repr and in asdict."""

    @dataclasses.dataclass
    class Holder:
        key: Secret

    assert repr(Holder(Secret(SECRET))).endswith(f"Holder(key={MASK})")
    assert not leaked(repr(dataclasses.asdict(Holder(Secret(SECRET)))))


def test_logging_does_not_show_it(caplog: pytest.LogCaptureFixture):
    """A Secret given to a logger is the mask."""
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("x").debug("key %s %r", Secret(SECRET), Secret(SECRET))
    assert caplog.messages == [f"key {MASK} {MASK}"]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_cannot_be_pickled(protocol: int):
    """No protocol stores it, alone or inside something else."""
    for value in (Secret(SECRET), [Secret(SECRET)], {"a": Secret(SECRET)}):
        with pytest.raises(TypeError, match="cannot be pickled") as caught:
            pickle.dumps(value, protocol)
        assert not leaked(repr(caught.value))


def test_it_has_no_json_form():
    """JSON refuses it."""
    with pytest.raises(TypeError):
        json.dumps({"key": Secret(SECRET)})


def test_it_cannot_be_looked_into():
    """Neither vars, nor dir, nor the members that inspection walks hold it."""
    secret = Secret(SECRET)
    with pytest.raises(TypeError):
        vars(secret)
    assert not leaked(repr(dir(secret)))
    assert not leaked(repr(inspect.getmembers(secret)))
    assert not hasattr(secret, "__dict__")


def test_it_is_no_text():
    """It cannot be joined, added, sliced, measured or iterated by accident."""
    secret = Secret(SECRET)
    for use in (
        lambda: str.join("", (secret,)),
        lambda: secret + "",
        lambda: secret[0],
        lambda: len(secret),
        lambda: list(secret),
    ):
        with pytest.raises(TypeError) as caught:
            use()
        assert not leaked(repr(caught.value))


def test_copies_are_itself():
    """Copying does not multiply it."""
    secret = Secret(SECRET)
    assert copy.copy(secret) is secret
    assert copy.deepcopy({"a": [secret]})["a"][0] is secret


@given(st.text(), st.text())
def test_equality_is_that_of_the_texts(one: str, other: str):
    """Two Secrets are equal exactly if their texts are, lone surrogates included, and equal ones have one hash."""
    assert (Secret(one) == Secret(other)) is (one == other)
    assert Secret(one + "\ud800") == Secret(one + "\ud800")
    assert hash(Secret(one)) == hash(Secret(one))


def test_it_equals_no_text():
    """A Secret is not its text, so that a comparison cannot be used to guess it in pieces."""
    assert Secret(SECRET) != SECRET
    assert Secret(SECRET).__eq__(SECRET) is NotImplemented


def test_it_tells_nothing_by_its_hash_or_truth():
    """Hash and truth are the same for all of them, the empty one too."""
    assert {hash(Secret(one)) for one in ("", SECRET, KEY)} == {hash(Secret(""))}
    assert bool(Secret(""))


def test_it_cannot_be_changed():
    """Its value is set once."""
    secret = Secret(SECRET)
    for change in (lambda: setattr(secret, "_open", None), lambda: setattr(secret, "other", 1)):
        with pytest.raises(AttributeError):
            change()
    assert secret.reveal() == SECRET
