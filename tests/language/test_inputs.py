"""Values that are not in the text: when they are fetched, how often, and what a missing one says."""

from __future__ import annotations

from typing import Any

import pytest
from catalogs import having, options_of, plans_of
from corpora import SECRET, leaked
from offline import Inputs, offline_session

from s3conn_magic.errors import BindError, S3ConnError
from s3conn_magic.locations import Location
from s3conn_magic.secrets import Secret

PAIR = "AWS_ACCESS_KEY_ID = 'a' AWS_SECRET_ACCESS_KEY ="


def test_a_prompt_is_asked_once():
    """One PROMPT is one question, and its answer is the value."""
    inputs = Inputs({}, SECRET)
    bound = options_of(f"{PAIR} PROMPT 'The secret'", inputs)["AWS_SECRET_ACCESS_KEY"]
    assert (inputs.asked, bound.value, bound.source) == (["The secret"], Secret(SECRET), "PROMPT 'The secret'")


def test_prompts_are_asked_in_the_order_of_the_text():
    """Two PROMPTs of the same text are two questions."""
    inputs = Inputs({}, "one", "two")
    first, second = plans_of(
        f"CREATE S3 CONNECTION x {PAIR} PROMPT; CREATE S3 CONNECTION y {PAIR} PROMPT", inputs=inputs
    )
    assert inputs.asked == ["", ""]
    assert [plan.options["AWS_SECRET_ACCESS_KEY"].value.reveal() for plan in (first, second)] == ["one", "two"]


@pytest.mark.parametrize(
    "rest",
    [
        "READ_ONLY = 1",
        "NOPE = 1",
        "AWS_PROFILE = 'p'",
        "COMMENT = ENV 'NOT_SET_ANYWHERE'",
        "COMMENT = $missing",
        "; DROP CONNECTION nowhere",
        "; LIST 'bucket'",
        "; NOPE",
        "; LIST 's3://b-c/' MATCHING ''",
    ],
)
def test_nobody_is_asked_for_a_cell_with_an_error_in_it(rest: str):
    """A secret is typed in only when everything else of the cell is right."""
    inputs = Inputs({}, SECRET)
    with pytest.raises(S3ConnError):
        plans_of(f"CREATE S3 CONNECTION x {PAIR} PROMPT {rest}", inputs=inputs)
    assert inputs.asked == []


def test_nobody_is_asked_for_a_prompt_in_a_list_of_a_wrong_cell():
    """A PROMPT inside a list waits as any other."""
    inputs = Inputs({}, "s3://bucket/")
    with pytest.raises(S3ConnError):
        plans_of("CREATE S3 CONNECTION x PATH_DISPLAY_FILTERS = (PROMPT, 'gs://x'); NOPE", inputs=inputs)
    with pytest.raises(S3ConnError):
        plans_of("CREATE S3 CONNECTION x PATH_DISPLAY_FILTERS = (PROMPT); DROP CONNECTION y", inputs=inputs)
    assert inputs.asked == []
    bound = options_of("PATH_DISPLAY_FILTERS = (PROMPT, 's3://other/')", inputs)
    assert bound["PATH_DISPLAY_FILTERS"].value == (Location("bucket"), Location("other"))


@pytest.mark.parametrize(
    "text",
    [
        f"CREATE S3 CONNECTION IF NOT EXISTS lake {PAIR} PROMPT",
        f"ALTER S3 CONNECTION IF EXISTS pond SET {PAIR} PROMPT",
        f"CREATE S3 CONNECTION IF NOT EXISTS lake {PAIR} ENV 'NOT_SET_ANYWHERE'",
        "CREATE S3 CONNECTION IF NOT EXISTS lake PATH_DISPLAY_FILTERS = ($missing, PROMPT)",
    ],
)
def test_nobody_is_asked_for_a_statement_that_changes_nothing(text: str):
    """A notebook that is run again does not ask for what it has."""
    inputs = Inputs({}, SECRET)
    (plan,) = plans_of(text, having("lake"), inputs)
    assert plan.message.startswith("Operation resulted in no change")
    assert inputs.asked == []


def test_a_prompt_that_nobody_answers_is_an_error_at_the_prompt():
    """Nothing of the cell ran."""
    session = offline_session("lake")
    with pytest.raises(BindError, match="nobody can be asked here") as caught:
        list(session.run(f"DROP CONNECTION lake; CREATE S3 CONNECTION x {PAIR} PROMPT VALIDATE = FALSE"))
    assert caught.value.place.excerpt[caught.value.place.marker.index("^") :].startswith("PROMPT")
    assert "lake" in session.connections


def test_an_answer_that_does_not_fit_is_refused_without_being_repeated():
    """What was typed is in no part of the error."""
    with pytest.raises(BindError, match="white space") as caught:
        options_of(f"{PAIR} PROMPT", Inputs({}, f"{SECRET} "))
    assert not leaked(repr(vars(caught.value)) + repr(caught.value.__context__))


def test_a_variable_s_value_is_taken_once():
    """The value of the moment is bound, and its source is the variable's name."""
    bound = options_of(f"{PAIR} $secret", Inputs({"secret": SECRET}))["AWS_SECRET_ACCESS_KEY"]
    assert (bound.value, bound.source) == (Secret(SECRET), "$secret")


@pytest.mark.parametrize("value", [["s3://bucket/", "s3://other/"], ("s3://bucket/", "s3://other/")])
def test_a_variable_may_hold_a_list_of_paths(value: Any):
    """Lists and tuples of Python are lists of the language."""
    bound = options_of("PATH_DISPLAY_FILTERS = $paths", Inputs({"paths": value}))["PATH_DISPLAY_FILTERS"]
    assert (bound.value, bound.source) == ((Location("bucket"), Location("other")), "$paths")


def test_a_variable_may_hold_a_boolean():
    """True of Python is TRUE."""
    assert options_of("READ_ONLY = $flag", Inputs({"flag": True}))["READ_ONLY"].value is True


@pytest.mark.parametrize("value", [7, 1.5, None, b"bytes", ["x"], [], object(), {"a": 1}, True])
def test_a_variable_of_a_wrong_type_is_refused(value: Any):
    """The error says what the option takes, whatever the variable holds."""
    for option in ("AWS_ROLE", "ENDPOINT", "AWS_PROFILE", "COMMENT", "PATH_DISPLAY_FILTERS", "REGION"):
        with pytest.raises(BindError, match=f"{option} takes"):
            options_of(f"{option} = $value", Inputs({"value": value}))


def test_a_missing_variable_is_named():
    """The error points at the variable."""
    with pytest.raises(BindError, match="the Python variable missing is not defined") as caught:
        options_of("COMMENT = $missing", Inputs({}))
    assert caught.value.place.column == 34


def test_an_environment_variable_is_read_from_the_kernel(monkeypatch: pytest.MonkeyPatch):
    """Its source is ENV and its name."""
    monkeypatch.setenv("MY_SECRET", SECRET)
    bound = options_of(f"{PAIR} ENV 'MY_SECRET'")["AWS_SECRET_ACCESS_KEY"]
    assert (bound.value, bound.source) == (Secret(SECRET), "ENV 'MY_SECRET'")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("NOT_SET_ANYWHERE", "the environment variable NOT_SET_ANYWHERE is"),
        ("lower", "this environment variable is"),
        ("", "this environment variable is"),
        ("A=B", "this environment variable is"),
        ("�", "this environment variable is"),
        ("A\x00B", "this environment variable is"),
        (SECRET, "this environment variable is"),
    ],
)
def test_a_missing_environment_variable_is_named_only_if_its_name_can_be_no_secret(name: str, said: str):
    """A name that is not written like one is not repeated."""
    with pytest.raises(BindError, match=said) as caught:
        options_of(f"COMMENT = ENV '{name}'")
    assert not leaked(repr(vars(caught.value)))


def test_an_empty_environment_variable_is_an_empty_text(monkeypatch: pytest.MonkeyPatch):
    """Set to nothing is set."""
    monkeypatch.setenv("EMPTY", "")
    assert options_of("COMMENT = ENV 'EMPTY'")["COMMENT"].value == ""
    with pytest.raises(BindError, match="it must not be empty"):
        options_of("AWS_PROFILE = ENV 'EMPTY'")


def test_a_password_of_the_keyring_is_bound():
    """Service and user are handed to the keyring as written."""

    class Keyring(Inputs):
        def keyring(self, service: str, user: str) -> str:
            return SECRET if (service, user) == ("it's", "me") else ""

    bound = options_of(f"{PAIR} KEYRING 'it''s' 'me'", Keyring())["AWS_SECRET_ACCESS_KEY"]
    assert (bound.value, bound.source) == (Secret(SECRET), "KEYRING 'it''s' 'me'")


def test_a_missing_password_of_the_keyring_is_an_error(monkeypatch: pytest.MonkeyPatch):
    """A keyring without that password says so, and names neither service nor user."""
    keyring = pytest.importorskip("keyring")
    monkeypatch.setattr(keyring, "get_password", lambda *_: None)
    with pytest.raises(BindError, match="the keyring has no password of that service and user") as caught:
        options_of(f"{PAIR} KEYRING '{SECRET}' 'me'")
    assert not leaked(repr(vars(caught.value)))


def test_a_keyring_that_cannot_be_read_is_an_error(monkeypatch: pytest.MonkeyPatch):
    """What the backend said is not repeated."""
    keyring = pytest.importorskip("keyring")

    def fail(*_: str) -> str:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(keyring, "get_password", fail)
    with pytest.raises(BindError, match=r"the keyring cannot be read \(RuntimeError\)") as caught:
        options_of(f"{PAIR} KEYRING 'a' 'b'")
    assert not leaked(repr(vars(caught.value)) + repr(caught.value.__context__) + repr(caught.value.__cause__))


def test_a_machine_without_the_keyring_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    """KEYRING needs an extra, and the error names it."""
    monkeypatch.setitem(__import__("sys").modules, "keyring", None)
    with pytest.raises(BindError, match=r"pip install keyring"):
        options_of(f"{PAIR} KEYRING 'a' 'b'")


def test_show_create_names_the_source_and_not_the_value(monkeypatch: pytest.MonkeyPatch):
    """What came from elsewhere is shown as where it came from."""
    monkeypatch.setenv("MY_SECRET", SECRET)
    session = offline_session(inputs=Inputs({"key": "AKIA"}))
    list(
        session.run(
            "CREATE S3 CONNECTION x AWS_ACCESS_KEY_ID = $key AWS_SECRET_ACCESS_KEY = ENV 'MY_SECRET' VALIDATE = FALSE"
        )
    )
    (shown,) = session.run("SHOW CREATE S3 CONNECTION x")
    assert "AWS_ACCESS_KEY_ID = $key" in str(shown)
    assert "AWS_SECRET_ACCESS_KEY = ENV 'MY_SECRET'" in str(shown)
