"""What a CREATE or ALTER says when its probe fails: what it is about, what became of the connection, what to do."""

from __future__ import annotations

import pytest
from statements import Statements

from s3conn_magic.errors import S3ConnError
from s3conn_magic.sandbox import RESTRICTED

PAIR = f"AWS_ACCESS_KEY_ID = '{RESTRICTED.access_key_id}' AWS_SECRET_ACCESS_KEY = $secret"
WRONG_ROLE = "AWS_ROLE = 'arn:aws:iam::123456789012:role/nobody-has-it'"
FAILING = {
    "wrong secret": "AWS_ACCESS_KEY_ID = '{id}' AWS_SECRET_ACCESS_KEY = 'wrongwrongwrong' ENDPOINT = '{endpoint}'",
    "unknown key": "AWS_ACCESS_KEY_ID = 'AKIANOBODY' AWS_SECRET_ACCESS_KEY = 'wrongwrongwrong' ENDPOINT = '{endpoint}'",
    "no permission": f"{PAIR} ENDPOINT = '{{endpoint}}'",
    "role": f"{PAIR} {WRONG_ROLE} ENDPOINT = '{{endpoint}}'",
    "profile": "AWS_PROFILE = 'nobody-has-it' ENDPOINT = '{endpoint}'",
    "anonymous": "ANONYMOUS = TRUE ENDPOINT = '{endpoint}' PATH_DISPLAY_FILTERS = ('s3://acme-lake/hr/')",
    "no bucket": f"{PAIR} ENDPOINT = '{{endpoint}}' PATH_DISPLAY_FILTERS = ('s3://nobody-has-it/')",
    "endpoint": f"{PAIR} ENDPOINT = 'http://127.0.0.1:9'",
}


@pytest.fixture
def run(sandbox) -> Statements:
    """A session with a connection `kept`."""
    run = Statements(secret=RESTRICTED.secret_access_key)
    run(_filled("CREATE S3 CONNECTION kept ", f"{PAIR} ENDPOINT = '{{endpoint}}' VALIDATE = FALSE", sandbox))
    return run


def _filled(statement: str, options: str, sandbox) -> str:
    return statement + options.format(id=RESTRICTED.access_key_id, endpoint=sandbox.endpoint)


@pytest.mark.parametrize("case", FAILING)
def test_a_create_that_fails_says_that_nothing_was_created(case, run, sandbox):
    """The hint begins so and tells of no ALTER, the message names connection, bucket or role, and nothing is there."""
    error = run.fails(_filled("CREATE S3 CONNECTION made ", FAILING[case], sandbox), S3ConnError)
    assert error.hint.startswith("Nothing was created")
    assert "ALTER" not in error.hint
    assert any(one in error.message for one in ("the connection made", "s3://", "arn:aws", "bucket nobody-has-it"))
    assert list(run("SHOW CONNECTIONS").name) == ["kept"]


CHANGES = [("CREATE OR REPLACE S3 CONNECTION kept ", case) for case in FAILING]
CHANGES += [("ALTER S3 CONNECTION kept SET ", case) for case in FAILING if "AWS_ACCESS" in FAILING[case]]


@pytest.mark.parametrize(("statement", "case"), CHANGES)
def test_a_change_that_fails_says_that_the_connection_stays(statement, case, run, sandbox):
    """The hint begins so, and the connection is what it was."""
    before = run.session.connections.get("kept").options
    error = run.fails(_filled(statement, FAILING[case], sandbox), S3ConnError)
    assert error.hint.startswith("The connection kept stays as it was")
    assert run.session.connections.get("kept").options == before
