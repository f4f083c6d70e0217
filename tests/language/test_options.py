"""The table of options: one test for every rule of it."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from catalogs import having, options_of, plans_of, with_options
from corpora import KEY, SECRET, leaked
from offline import Inputs

from s3conn_magic.errors import BindError
from s3conn_magic.language import plans
from s3conn_magic.language.options import OPTIONS, Option, find_option
from s3conn_magic.locations import Location
from s3conn_magic.secrets import Secret

ROLE = "arn:aws:iam::123456789012:role/r"
KMS = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
PARTNERS = {
    "EXTERNAL_ID": f"AWS_ROLE = '{ROLE}'",
    "AWS_ACCESS_KEY_ID": "AWS_SECRET_ACCESS_KEY = 'b'",
    "AWS_SECRET_ACCESS_KEY": "AWS_ACCESS_KEY_ID = 'a'",
    "AWS_SESSION_TOKEN": "AWS_ACCESS_KEY_ID = 'a' AWS_SECRET_ACCESS_KEY = 'b'",
}
_A, _B = Location("bucket"), Location("other", "folder/")

ACCEPTED: list[tuple[str, str, Any]] = [
    ("AWS_ROLE", f"'{ROLE}'", ROLE),
    (
        "AWS_ROLE",
        "'arn:aws-us-gov:iam::123456789012:role/path/to/r'",
        "arn:aws-us-gov:iam::123456789012:role/path/to/r",
    ),
    (
        "AWS_ROLE",
        "'arn:aws-cn:iam::123456789012:role/a+b=c,d.e@f-g_h'",
        "arn:aws-cn:iam::123456789012:role/a+b=c,d.e@f-g_h",
    ),
    ("EXTERNAL_ID", "'12345678'", "12345678"),
    ("EXTERNAL_ID", "'a:b/c=d,e.f@g-h+i_j'", "a:b/c=d,e.f@g-h+i_j"),
    ("AWS_ACCESS_KEY_ID", "'AKIAIOSFODNN7EXAMPLE'", "AKIAIOSFODNN7EXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", f"'{SECRET}'", Secret(SECRET)),
    ("AWS_SESSION_TOKEN", f"'{KEY}'", Secret(KEY)),
    ("PATH_DISPLAY_FILTERS", "('s3://bucket/', 's3://other/folder/')", (_A, _B)),
    ("PATH_DISPLAY_FILTERS", "'s3://bucket/'", (_A,)),
    ("PATH_DISPLAY_FILTERS", "('s3://bucket', 's3://bucket/', 's3://bucket/')", (_A,)),
    ("PATH_DISPLAY_FILTERS", "'s3://bucket/pre'", (Location("bucket", "pre"),)),
    ("PATH_DISPLAY_FILTER", "'s3://bucket/'", (_A,)),
    ("PATH_DISPLAY_FILTER", "('s3://bucket/', 's3://other/folder/')", (_A, _B)),
    ("READ_ONLY", "TRUE", True),
    ("READ_ONLY", "false", False),
    ("ENCRYPTION_KMS_KEY", f"'{KMS}'", KMS),
    ("ENCRYPTION_KMS_KEY", "'1234abcd-12ab-34cd-56ef-1234567890ab'", "1234abcd-12ab-34cd-56ef-1234567890ab"),
    ("ENCRYPTION_KMS_KEY", "'alias/my/key_1'", "alias/my/key_1"),
    ("ENCRYPTION_KMS_KEY", f"'mrk-{'0a' * 16}'", f"mrk-{'0a' * 16}"),
    (
        "ENCRYPTION_KMS_KEY",
        "'arn:aws:kms:eu-west-1:123456789012:alias/x'",
        "arn:aws:kms:eu-west-1:123456789012:alias/x",
    ),
    ("ENCRYPTION_CUSTOMER_MANAGED_KEY", f"'{KEY}'", Secret(KEY)),
    ("COMMENT", "'it''s\n\there'", "it's\n\there"),
    ("COMMENT", "''", ""),
    ("AWS_PROFILE", "'my profile'", "my profile"),
    ("ANONYMOUS", "TRUE", True),
    ("REGION", "'eu-west-1'", "eu-west-1"),
    ("REGION", "'garage'", "garage"),
    ("ENDPOINT", "'http://127.0.0.1:9000'", "http://127.0.0.1:9000"),
    ("ENDPOINT", "'https://s3.example.com/'", "https://s3.example.com"),
    ("ENDPOINT", "'http://[::1]:9000'", "http://[::1]:9000"),
    ("ADDRESSING_STYLE", "'path'", "path"),
    ("ADDRESSING_STYLE", "'Virtual'", "virtual"),
    ("ADDRESSING_STYLE", "'auto'", "auto"),
    ("REQUESTER_PAYS", "TRUE", True),
]

REFUSED: list[tuple[str, str]] = [
    *[(one.name, value) for one in OPTIONS if one.takes == "TRUE or FALSE" for value in ("'TRUE'", "1", "0", "('x')")],
    *[(one.name, value) for one in OPTIONS if one.takes != "TRUE or FALSE" for value in ("TRUE", "7")],
    *[(one.name, "('x')") for one in OPTIONS if not one.takes_list],
    *[(one.name, "''") for one in OPTIONS if one.takes != "TRUE or FALSE" and one.name != "COMMENT"],
    *[
        ("AWS_ROLE", f"'{value}'")
        for value in ("r", f" {ROLE}", f"{ROLE}\n", ROLE.replace("role", "user"), "arn:aws:iam::1:role/r")
    ],
    *[("EXTERNAL_ID", f"'{value}'") for value in ("x", "a b", "a;b", "x" * 1225)],
    *[
        (name, f"'{value}'")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        for value in ("a b", "a\n", "\ta", "a\u00a0b", "\u00e9", "a\x00", "a\x7f")
    ],
    *[
        ("ENCRYPTION_KMS_KEY", f"'{value}'")
        for value in ("x", "alias/", "arn:aws:s3:::b", KMS + "0", KMS.replace("key/", "key/x"))
    ],
    *[
        ("ENCRYPTION_CUSTOMER_MANAGED_KEY", f"'{value}'")
        for value in (
            "x",
            KEY[:-1],
            KEY[:40],
            f" {KEY}",
            f"{KEY}\n",
            base64.b64encode(b"x" * 33).decode(),
            "\u00e9" * 44,
        )
    ],
    *[
        ("PATH_DISPLAY_FILTERS", f"'{value}'")
        for value in ("bucket", "s3:/bucket", "gs://bucket", "s3://", "s3://a", "s3://b*", "s3://lake@bucket/")
    ],
    *[
        ("ENDPOINT", f"'{value}'")
        for value in (
            "host",
            "host:9000",
            "ftp://host",
            "http://",
            "http://:9000",
            "http://host:0",
            "http://host:70000",
            "http://u:p@host",
            "http://u@host",
            "http://host/path",
            "http://host?x",
            "http://host#x",
            "http://ho st",
            "http://host\n",
            "http://[::1",
            "s3://bucket",
        )
    ],
    *[("ADDRESSING_STYLE", f"'{value}'") for value in ("dns", "path ")],
    *[("REGION", f"'{value}'") for value in ("eu west 1", "-", "eu-west-1\n", "\u00e9u")],
    *[("AWS_PROFILE", f"'{value}'") for value in ("a\nb", "a\x1bb")],
]


def _with_partner(name: str, value: str) -> str:
    return f"{name} = {value} {PARTNERS.get(name, '')}"


@pytest.mark.parametrize(("name", "written", "stored"), ACCEPTED)
def test_a_value_is_stored_as_what_it_means(name: str, written: str, stored: Any):
    """Every form that the table allows binds to its stored value, under the canonical name."""
    option = find_option(name)
    bound = options_of(_with_partner(name, written))[option.name]
    assert (bound.value, type(bound.value), bound.source) == (stored, type(stored), "statement")


@pytest.mark.parametrize(("name", "written"), REFUSED)
def test_a_value_that_does_not_fit_is_refused_at_the_value(name: str, written: str):
    """The error names the option and what it takes, and points at the value."""
    with pytest.raises(BindError) as caught:
        options_of(_with_partner(name, written))
    option = find_option(name)
    error = caught.value
    assert error.message.startswith(f"{option.name} takes {option.takes}")
    assert error.place.column == len(f"CREATE S3 CONNECTION x {name} = ") + 1


@pytest.mark.parametrize("option", OPTIONS, ids=lambda one: one.name)
def test_a_value_is_never_repeated(option: Option):
    """A secret where it does not fit is in no part of the error, whichever the option."""
    fits = ("COMMENT", "AWS_PROFILE", "EXTERNAL_ID", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    value = f"{SECRET}\x1b\n" if option.name in fits else SECRET
    if option.name == "COMMENT":
        return
    with pytest.raises(BindError) as caught:
        options_of(_with_partner(option.name, f"'{value}'"))
    assert not leaked(repr(vars(caught.value)) + str(caught.value))


@pytest.mark.parametrize("option", OPTIONS, ids=lambda one: one.name)
def test_the_example_of_every_option_binds(option: Option, monkeypatch: pytest.MonkeyPatch):
    """What HELP shows as an example is a value of the option."""
    for name in ("MY_ACCESS_KEY_ID", "MY_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setattr(Inputs, "keyring", lambda *_: KEY)
    bound = options_of(_with_partner(option.name, option.example))
    assert (option.name in bound) is option.stored


@pytest.mark.parametrize("option", [one for one in OPTIONS if one.secret], ids=lambda one: one.name)
def test_a_secret_option_binds_to_a_secret(option: Option):
    """The plan of a secret option cannot print it."""
    bound = options_of(_with_partner(option.name, f"'{KEY}'"))
    assert isinstance(bound[option.name].value, Secret)
    assert not leaked(repr(bound))


@pytest.mark.parametrize("option", [one for one in OPTIONS if one.requires], ids=lambda one: one.name)
def test_an_option_without_its_partner_is_refused(option: Option):
    """The error points at the option, names what is missing and says what to add."""
    with pytest.raises(BindError) as caught:
        options_of(f"{option.name} = 'xx'")
    assert caught.value.place.column == 24
    assert all(one in caught.value.message and f"{one} = " in caught.value.hint for one in option.requires)


PAIRS = {frozenset((one.name, other)) for one in OPTIONS for other in one.excludes}
ORDERS = sorted(order for one, other in map(sorted, PAIRS) for order in ((one, other), (other, one)))


@pytest.mark.parametrize(("first", "second"), ORDERS)
def test_options_that_exclude_each_other_are_refused_at_the_later(first: str, second: str):
    """Whichever stands first, the error names two options that exclude each other and points at the later."""
    written = f"{first} = {_value(first)} {second} = {_value(second)}" + _missing(first, second)
    with pytest.raises(BindError) as caught:
        options_of(written)
    later, _, earlier = caught.value.message.partition(" cannot be combined with ")
    assert frozenset((later, earlier)) in PAIRS
    assert written.index(f"{earlier} =") < written.index(f"{later} =")
    assert caught.value.place.column == 24 + written.index(f"{later} =")


def _value(name: str) -> str:
    values = {"ANONYMOUS": "TRUE", "REQUESTER_PAYS": "TRUE", "AWS_ROLE": f"'{ROLE}'", "ENCRYPTION_KMS_KEY": "'alias/x'"}
    return values.get(name, f"'{KEY}'" if name == "ENCRYPTION_CUSTOMER_MANAGED_KEY" else "'xx'")


def _missing(*names: str) -> str:
    """The partners of options that are not given yet."""
    needed = {one for name in names for one in find_option(name).requires} - {*names}
    needed |= {one for name in needed for one in find_option(name).requires} - {*names}
    return "".join(f" {name} = {_value(name)}" for name in sorted(needed))


def test_anonymous_false_goes_with_credentials():
    """An option that is switched off excludes nothing."""
    assert options_of("ANONYMOUS = FALSE AWS_PROFILE = 'p'")["AWS_PROFILE"].value == "p"


def test_a_role_goes_with_every_kind_of_credential():
    """A role may be assumed by the chain, a key pair or a profile, with an external id or without."""
    for by in ("", "AWS_ACCESS_KEY_ID = 'a' AWS_SECRET_ACCESS_KEY = 'b'", "AWS_PROFILE = 'p'", "EXTERNAL_ID = 'e1'"):
        assert "AWS_ROLE" in options_of(f"AWS_ROLE = '{ROLE}' {by}")


@pytest.mark.parametrize("option", OPTIONS, ids=lambda one: one.name)
def test_the_same_option_twice_is_refused_at_the_second(option: Option):
    """In another case or another spelling it is still the same option."""
    for again in (option.name.lower(), *option.aliases):
        with pytest.raises(BindError, match="is given twice: first in line 1, column 24") as caught:
            options_of(f"{option.name} = {_value(option.name)}\n{again} = {_value(option.name)}")
        assert (caught.value.place.line, caught.value.place.column) == (2, 1)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda one: one.name)
def test_every_option_but_read_only_can_be_altered(option: Option):
    """ALTER SET takes every option of the table that is mutable, and refuses READ_ONLY with what to do instead."""
    written = " ".join(f"{name} = {_value(name)}" for name in (option.name,)) + _missing(option.name)
    text = f"ALTER S3 CONNECTION x SET {_fitting(option, written)}"
    if option.mutable:
        (plan,) = plans_of(text, having("x"))
        assert isinstance(plan, plans.Alter)
        assert (option.name in plan.options) is option.stored
        return
    with pytest.raises(BindError, match="READ_ONLY cannot be altered") as caught:
        plans_of(text, having("x"))
    assert "CREATE OR REPLACE S3 CONNECTION" in caught.value.hint


def _fitting(option: Option, written: str) -> str:
    forms = {"PATH_DISPLAY_FILTERS": "'s3://bucket/'", "ENDPOINT": "'http://host'", "ADDRESSING_STYLE": "'path'"}
    if option.takes == "TRUE or FALSE":
        return f"{option.name} = TRUE"
    return f"{option.name} = {forms[option.name]}" if option.name in forms else written


@pytest.mark.parametrize("option", [one for one in OPTIONS if one.mutable and one.stored], ids=lambda one: one.name)
def test_every_option_that_can_be_altered_can_be_unset(option: Option):
    """UNSET removes the option from what the connection keeps, and leaves the others."""
    catalog = with_options(
        "x", **{option.name: True, "COMMENT": "kept"} if option.name != "COMMENT" else {"COMMENT": "x"}
    )
    (plan,) = plans_of(f"ALTER S3 CONNECTION x UNSET {option.name}", catalog)
    assert plan.changed == (option.name,)
    assert set(plan.options) == ({"COMMENT"} - {option.name})


def test_validate_is_not_kept():
    """VALIDATE = FALSE skips the probe of this statement and is no option of the connection."""
    (plan,) = plans_of("CREATE S3 CONNECTION x VALIDATE = FALSE COMMENT = 'c'")
    assert (plan.validate, set(plan.options)) == (False, {"COMMENT"})
    (plan,) = plans_of("CREATE S3 CONNECTION x")
    assert (plan.validate, dict(plan.options)) == (True, {})


def test_a_bad_item_of_a_list_is_the_place_of_its_error():
    """Of several paths, the one that is wrong is pointed at."""
    with pytest.raises(BindError, match="gs://") as caught:
        options_of("PATH_DISPLAY_FILTERS = ('s3://bucket/',\n  'gs://bucket/')")
    assert (caught.value.place.line, caught.value.place.column) == (2, 3)
