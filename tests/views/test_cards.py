"""Cards, messages and the frames about connections: what they say, that it is escaped, and no secret."""

from __future__ import annotations

import base64
import html

import pytest
from statements import Statements, create

from s3conn_magic.errors import S3ConnError
from s3conn_magic.language.options import OPTIONS
from s3conn_magic.language.reference import STATEMENTS
from s3conn_magic.language.session_settings import SETTINGS
from s3conn_magic.results.cards import Card, Message
from s3conn_magic.sandbox import Keys
from s3conn_magic.secrets import Secret

KEYS = Keys("AKIAONE", Secret("one/secret+value"))
HOSTILE = "\x1b[31m\u202e<img src=x onerror=alert(1)>$x$ & co"


@pytest.fixture
def run():
    return Statements(secret="one/secret+value")


def test_a_card_escapes_what_it_shows():
    """Title and values are text in HTML, without controls, and MathJax is off."""
    card = Card(HOSTILE, (("label", HOSTILE),))
    page, text = card._repr_html_(), repr(card)
    assert card._repr_mimebundle_() == {"text/plain": text, "text/html": page}
    for form in (page, text):
        assert "\x1b" not in form
        assert "\u202e" not in form
        assert form.count("\u241b") == 2
    assert "<img" not in page
    assert "tex2jax_ignore" in page
    assert "mathjax_ignore" in page


def test_a_card_says_everything_but_secrets(run):
    """The card names credentials, role, region, endpoint, read-only, encryption and comment, and no secret."""
    options = {
        "REGION": "eu-west-1",
        "ENDPOINT": "http://127.0.0.1:9",
        "READ_ONLY": True,
        "AWS_ROLE": "arn:aws:iam::123456789012:role/reader",
        "EXTERNAL_ID": "external-id-1",
        "AWS_SESSION_TOKEN": "the-session-token",
        "ENCRYPTION_CUSTOMER_MANAGED_KEY": base64.b64encode(b"k" * 32).decode(),
        "COMMENT": HOSTILE,
        "VALIDATE": False,
    }
    card = run(create("lake", keys=KEYS, **options))
    assert dict(card.lines) == {
        "credentials": "role, assumed by key pair with session token",
        "role": options["AWS_ROLE"],
        "reaches": "not probed (VALIDATE = FALSE)",
        "region": "eu-west-1",
        "endpoint": "http://127.0.0.1:9",
        "read-only": "yes: writes and deletes are refused",
        "encryption": "SSE-C, with every read and write",
        "comment": HOSTILE,
    }
    for secret in ("one/secret+value", "the-session-token", options["ENCRYPTION_CUSTOMER_MANAGED_KEY"]):
        assert secret not in repr(card) + card._repr_html_()


def test_a_message_is_its_text():
    """A message prints its text with controls made visible, and `str` is the text itself."""
    message = Message("first\n\x1bsecond")
    assert str(message) == "first\n\x1bsecond"
    assert message._repr_mimebundle_() == {"text/plain": "first\n\u241bsecond"}


def test_show_connections_has_a_row_each(run):
    """SHOW CONNECTIONS tells of each connection what DESCRIBE would, in the order of making."""
    run(create("b", keys=KEYS, VALIDATE=False, READ_ONLY=True, ENCRYPTION_KMS_KEY="alias/x", REGION="eu-west-1"))
    run(create("a", AWS_PROFILE="x", VALIDATE=False, PATH_DISPLAY_FILTERS=["s3://one/", "s3://two/x"], COMMENT="c"))
    run(create("open", ANONYMOUS=True, ENDPOINT="http://127.0.0.1:9", VALIDATE=False))
    frame = run("SHOW CONNECTIONS")
    assert frame["name"].tolist() == ["b", "a", "open"]
    assert frame["credentials"].tolist() == ["key pair", "profile x", "anonymous"]
    assert frame["read_only"].tolist() == [True, False, False]
    assert frame["encryption"].tolist() == ["SSE-KMS", "bucket default", "bucket default"]
    assert frame["display_filters"].tolist() == [[], ["s3://one/", "s3://two/x"], []]
    assert frame["state"].tolist() == ["not probed"] * 3
    assert frame["created_at"].is_monotonic_increasing
    assert run("SHOW CONNECTIONS LIKE 'A'")["name"].tolist() == ["a"]
    assert "one/secret" not in repr(frame) + frame._repr_html_() + frame.to_csv()


def test_describe_tells_value_and_source(run, monkeypatch):
    """DESCRIBE has a row for each option that is kept: its value, 'set' for a secret, and where it came from."""
    monkeypatch.setenv("MY_TOKEN", "environment-token")
    run(
        "CREATE S3 CONNECTION lake AWS_ACCESS_KEY_ID = 'AKIAONE' AWS_SECRET_ACCESS_KEY = $secret"
        " AWS_SESSION_TOKEN = ENV 'MY_TOKEN' READ_ONLY = TRUE VALIDATE = FALSE"
        " PATH_DISPLAY_FILTERS = ('s3://one/', 's3://two/x')"
    )
    frame = run("DESCRIBE CONNECTION LAKE").set_index("option")
    options = [one.name for one in OPTIONS if one.stored]
    assert list(frame.index[: len(options)]) == options
    assert frame.loc["tries"].tolist()[:3] == ["5", "default", False]
    assert frame.loc["AWS_SECRET_ACCESS_KEY", ["value", "source"]].tolist() == ["set", "$secret"]
    assert frame.loc["AWS_SESSION_TOKEN", ["value", "source"]].tolist() == ["set", "ENV 'MY_TOKEN'"]
    assert frame.loc["AWS_ACCESS_KEY_ID", ["value", "source"]].tolist() == ["AKIAONE", "statement"]
    assert frame.loc["READ_ONLY", ["value", "mutable"]].tolist() == ["TRUE", False]
    assert frame.loc["PATH_DISPLAY_FILTERS", "value"] == "s3://one/, s3://two/x"
    assert frame.loc["COMMENT", "source"].startswith("default")
    assert "one/secret" not in frame.to_csv()
    assert "environment-token" not in frame.to_csv()


def test_show_create_runs_again(run, monkeypatch):
    """SHOW CREATE gives a statement that makes the same connection, with secrets as their sources."""
    monkeypatch.setenv("MY_TOKEN", "environment-token")
    run(
        "CREATE S3 CONNECTION \"my lake\" AWS_ACCESS_KEY_ID = 'AKIAONE' AWS_SECRET_ACCESS_KEY = $secret"
        " AWS_SESSION_TOKEN = ENV 'MY_TOKEN' READ_ONLY = TRUE COMMENT = 'it''s' VALIDATE = FALSE"
    )
    text = str(run('SHOW CREATE S3 CONNECTION "my lake"'))
    assert "$secret" in text
    assert "ENV 'MY_TOKEN'" in text
    before = run('DESCRIBE CONNECTION "my lake"')
    run('DROP CONNECTION "my lake"')
    run(text.replace(";", " VALIDATE = FALSE;"))
    assert run('DESCRIBE CONNECTION "my lake"').equals(before)


def test_show_create_never_shows_a_secret(run):
    """A secret that was typed is asked for."""
    run(create("lake", keys=KEYS, VALIDATE=False))
    text = str(run("SHOW CREATE S3 CONNECTION lake"))
    assert "AWS_SECRET_ACCESS_KEY = PROMPT 'AWS_SECRET_ACCESS_KEY of lake'" in text
    assert "one/secret" not in text


ENTRIES = [one.name for table in (STATEMENTS, OPTIONS, SETTINGS) for one in table]


@pytest.mark.parametrize("topic", [*(one.name for one in STATEMENTS), *(one.name for one in OPTIONS)])
def test_help_knows_every_statement_and_option(run, topic):
    """HELP of each statement and option is a message with its syntax and what it does, in any case."""
    message = run(f"HELP {topic.lower()};")
    assert isinstance(message, Message)
    reference = next(one for one in (*STATEMENTS, *OPTIONS) if one.name == topic)
    assert reference.help in str(message)
    assert reference.example in str(message)


def test_help_lists_them_all(run):
    """HELP alone has a row for each statement, option and setting."""
    assert run("HELP")["statement"].tolist() == ENTRIES


@pytest.mark.parametrize("statement", ["HELP", "SHOW SETTINGS", "DESCRIBE CONNECTION lake"])
def test_what_is_there_to_be_read_is_shown_whole(run, statement):
    """A notebook shows every row of a reference, and every description to its end; so does a terminal of HELP."""
    run(create("lake", keys=KEYS, VALIDATE=False))
    told = run(statement)
    shown = html.unescape(told._repr_html_())
    assert all(text in shown for text in [*told.iloc[:, 0], *told["description"]])
    if statement == "HELP":
        assert all(text in " ".join(repr(told).split()) for text in [*told["statement"], *told["description"]])


def test_help_suggests(run):
    """A topic that is misspelt is answered with the nearest."""
    assert "READ_ONLY" in run.fails("HELP READ_ONYL", S3ConnError).hint
