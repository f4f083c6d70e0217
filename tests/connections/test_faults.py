"""botocore's errors and servers' codes become errors of this package, which repeat none of their values."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from string import Formatter

import botocore.session
import iam_actions
import pytest
from botocore import exceptions as boto
from botocore import xform_name
from botocore.parsers import ResponseParserError
from recording import Reply, error, recording
from statements import Statements, create

from s3conn_magic import errors
from s3conn_magic.connections import faults
from s3conn_magic.connections.connection import Connection
from s3conn_magic.connections.refusals import THROTTLED, UNAVAILABLE, message_of, own_words
from s3conn_magic.language.options import BoundValue
from s3conn_magic.secrets import Secret

PLANTED = "PLANTED/Secret+Value"
RESOURCE = "arn:aws:s3:::acme"


def classes():
    """Every exception class of botocore's module, with its name."""
    found = inspect.getmembers(boto, inspect.isclass)
    return [one for name, one in found if one.__module__ == boto.__name__ and issubclass(one, Exception)]


def made(kind):
    """An instance with the secret for every value that its message asks for."""
    if issubclass(kind, boto.ClientError):
        return kind({"Error": {"Code": "SomethingNew", "Message": PLANTED}}, "GetObject")
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    named = {one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD}
    if any(one.kind is one.VAR_KEYWORD for one in parameters) and hasattr(kind, "fmt"):
        named |= {field for _, field, _, _ in Formatter().parse(kind.fmt) if field}
    return kind(**dict.fromkeys(named, PLANTED)) if named else kind() if hasattr(kind, "fmt") else kind(PLANTED)


@pytest.mark.parametrize("kind", classes(), ids=lambda one: one.__name__)
def test_every_exception_of_botocore_has_one_of_ours(kind):
    """Each class becomes an error of this package, none of botocore's own an InternalError, and shows no value."""
    error = made(kind)
    translated = faults.translate(error, resource=RESOURCE)
    assert isinstance(translated, errors.S3ConnError)
    if issubclass(kind, boto.BotoCoreError | boto.ClientError):
        assert not isinstance(translated, errors.InternalError)
    assert PLANTED not in translated.block()
    assert PLANTED not in repr(vars(translated))


def test_the_secret_was_planted():
    """Most of the errors above would have shown the secret, so that the test can fail."""
    shown = [kind for kind in classes() if PLANTED in str(made(kind))]
    assert len(shown) > 60


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (boto.NoCredentialsError, errors.CredentialsError),
        (boto.ProfileNotFound, errors.CredentialsError),
        (boto.UnauthorizedSSOTokenError, errors.CredentialsError),
        (boto.SSOTokenLoadError, errors.CredentialsError),
        (boto.CredentialRetrievalError, errors.CredentialsError),
        (boto.ConnectTimeoutError, errors.EndpointError),
        (boto.ReadTimeoutError, errors.EndpointError),
        (boto.EndpointConnectionError, errors.EndpointError),
        (boto.ConnectionClosedError, errors.EndpointError),
        (boto.SSLError, errors.EndpointError),
        (boto.ProxyConnectionError, errors.EndpointError),
        (boto.NoRegionError, errors.RegionError),
        (boto.InvalidRegionError, errors.RegionError),
        (boto.ParamValidationError, errors.EndpointError),
    ],
    ids=lambda one: one.__name__,
)
def test_the_kinds_that_matter(kind, expected):
    """The errors that people meet become the ones that say what to do."""
    assert type(faults.translate(made(kind))) is expected


def test_an_answer_that_cannot_be_parsed():
    """A parser's error is about the server, and repeats nothing of the body."""
    found = faults.translate(ResponseParserError(f"not XML: {PLANTED}"))
    assert type(found) is errors.EndpointError
    assert PLANTED not in found.block()


def test_what_nobody_foresaw():
    """Any other exception is an InternalError that names its kind and place, and no value."""
    found = faults.translate(ValueError(PLANTED))
    assert type(found) is errors.InternalError
    assert "ValueError" in found.message
    assert PLANTED not in found.block()


def test_ours_stay_what_they_are():
    """An error of this package passes unchanged."""
    error = errors.RegionError("as it is", hint="Do that.")
    assert faults.translate(error) is error


@pytest.mark.parametrize("code", sorted(faults._WRONG_CREDENTIALS))
def test_codes_of_wrong_credentials(code):
    """Each says what is wrong with the credentials, with its code and what to do."""
    found = faults.from_code(code, operation="ListBuckets", resource="")
    assert type(found) is errors.CredentialsError
    assert code in found.message
    assert found.hint


@pytest.mark.parametrize("code", sorted(faults._DENIED))
@pytest.mark.parametrize(
    ("operation", "action"),
    [
        ("ListBuckets", "s3:ListAllMyBuckets"),
        ("ListObjectsV2", "s3:ListBucket"),
        ("ListObjectVersions", "s3:ListBucketVersions"),
        ("HeadObject", "s3:GetObject"),
        ("PutObject", "s3:PutObject"),
        ("AssumeRole", "sts:AssumeRole"),
        ("GetCallerIdentity", "sts:GetCallerIdentity"),
    ],
)
def test_codes_of_denial_name_the_action(code, operation, action):
    """Each names the IAM action that is missing and the resource."""
    found = faults.from_code(code, operation=operation, resource=RESOURCE)
    assert type(found) is errors.AccessDeniedError
    assert (found.action, found.resource) == (action, RESOURCE)
    assert action in found.message
    assert action in found.hint


@pytest.mark.parametrize("code", sorted(faults.REGIONS))
def test_codes_of_another_region(code):
    """Each is a RegionError that names the resource."""
    found = faults.from_code(code, operation="ListObjectsV2", resource=RESOURCE)
    assert type(found) is errors.RegionError
    assert RESOURCE in found.message


@pytest.mark.parametrize("code", sorted(THROTTLED))
def test_codes_of_throttling(code):
    """Each says how often the request was tried."""
    found = faults.from_code(code, operation="ListObjectsV2", resource=RESOURCE, attempts=3)
    assert type(found) is errors.ThrottledError
    assert found.attempts == 3
    assert "3" in found.message


@pytest.mark.parametrize("code", sorted(UNAVAILABLE))
def test_codes_of_a_server_that_fails(code):
    """Each is an EndpointError with the code."""
    found = faults.from_code(code, operation="ListObjectsV2", resource=RESOURCE)
    assert type(found) is errors.EndpointError
    assert code in found.message


@pytest.mark.parametrize(
    ("code", "operation"),
    [("NoSuchBucket", "ListObjectsV2"), ("InvalidBucketName", "GetObject"), ("404", "HeadBucket")],
)
def test_codes_of_a_missing_bucket(code, operation):
    """Each names the bucket alone, though the resource names a key too."""
    found = faults.from_code(code, operation=operation, resource=f"{RESOURCE}/folder/key")
    assert type(found) is errors.BucketNotFoundError
    assert found.message == "there is no bucket acme"


@pytest.mark.parametrize("code", ["EntirelyNew", "NoSuchKey", "404", "501", ""])
def test_other_codes(code):
    """Any other code is an EndpointError that names operation and code, or the status where there is none."""
    found = faults.from_code(code, operation="GetObject", resource=RESOURCE, status=404)
    assert type(found) is errors.EndpointError
    assert "GetObject" in found.message
    assert (code or "status 404") in found.message


@pytest.mark.parametrize("code", ["<script>", "Secret Key: abc", "x" * 61, "a\x1b[31m"])
def test_a_code_that_is_none_is_not_repeated(code):
    """What does not look like a code is replaced by the status: a hostile server may put anything there."""
    found = faults.from_code(code, operation="GetObject", resource=RESOURCE, status=400)
    assert code not in found.block()
    assert "status 400" in found.message


WORDS = {
    "Missing required header for this request: Content-MD5": "Missing required header for this request: Content-MD5",
    "The request\n  is wrong.": "The request is wrong",
    "x-amz-server-side-encryption-customer-key-MD5 of 12 bytes!": "x-amz-server-side-encryption-customer-key-MD5 of 12"
    " bytes!",
    "key AKIAIOSFODNN7EXAMPLE is unknown": "key … is unknown",
    "no token FwoGZXIvYXdzEJr//////////wEaDKZ8x1": "no token …",
    "signature 5d41402abc4b2a76b9719d911017c592 and 5d41402abc4b2a76 differ": "signature … and … differ",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY": "",
    "\x1b[31mred\u202e text": "… text",
    "...": "",
    "": "",
    " ".join(["word"] * 60): " ".join(["word"] * 32) + " …",
}


@pytest.mark.parametrize(("message", "words"), WORDS.items(), ids=range(len(WORDS)))
def test_the_server_s_own_words_are_shown_without_what_may_be_secret(message, words):
    """A message is one line, cut, and what may be a key, a token or a signature in it is an ellipsis."""
    assert own_words(message) == words
    found = faults.from_code("InvalidArgument", operation="PutObject", resource=RESOURCE, said=message)
    assert f"(InvalidArgument{': ' * bool(words)}{words})" in found.message
    said = {"Error": {"Code": "ServiceUnavailable", "Message": message}}
    found = faults.translate(boto.ClientError(said, "PutObject"))
    assert words in found.message


def test_the_message_of_a_document():
    """The server's words are found in its document, with their references resolved."""
    assert message_of(b"<Error><Code>A</Code><Message>a &lt;b&gt; c</Message></Error>") == "a <b> c"
    assert message_of(b"<Error><Code>A</Code></Error>") == message_of(b"") == ""


@pytest.mark.parametrize(
    ("operation", "code", "hint"),
    [
        ("AssumeRole", "400", "no AWS_ROLE"),
        ("AssumeRole", "InvalidAction", "no AWS_ROLE"),
        ("ListObjectVersions", "NotImplemented", "LIST without VERSIONS"),
        ("ListObjectVersions", "MethodNotAllowed", "LIST without VERSIONS"),
        ("GetObject", "InvalidArgument", "ENCRYPTION_CUSTOMER_MANAGED_KEY"),
        ("ListBuckets", "UserSuspended", "ask its administrator"),
        ("PutObject", "QuotaExceeded", "no space left"),
        ("PutObject", "XMinioStorageFull", "no space left"),
        ("ListBuckets", "UnsupportedAlgorithm", "a key pair"),
        ("PutObject", "KMS.NotFoundException", "ENCRYPTION_KMS_KEY"),
        ("PutObject", "SomethingNew", "may not offer this"),
    ],
)
def test_a_refusal_s_way_on_follows_from_what_was_asked_and_its_code(operation, code, hint):
    """What a server lacks, or refuses this user, is said with what to do instead."""
    assert hint in faults.from_code(code, operation=operation, resource=RESOURCE, status=400).hint


def test_a_server_without_sts_is_said_to_be_one():
    """A page in place of STS's answer is about the role, and not about S3."""
    found = faults.translate(ResponseParserError("not XML"), resource="arn:aws:iam::123456789012:role/reader")
    assert "STS" in found.message
    assert "AWS_ROLE" in found.hint


def test_hostile_resources_are_shown_safely():
    """Control characters of a key in an error are visible symbols."""
    found = faults.from_code("AccessDenied", operation="GetObject", resource=f"{RESOURCE}/\x1b[31m\u202e")
    assert "\x1b" not in found.block()
    assert "\u202e" not in found.block()


def test_nothing_of_botocore_is_chained():
    """`translated` raises ours with no cause or context: botocore's error holds headers and bodies."""

    def fail():
        raise boto.EndpointConnectionError(endpoint_url=PLANTED)

    with pytest.raises(errors.EndpointError) as raised_error:
        faults.translated(fail)
    assert raised_error.value.__cause__ is None
    assert raised_error.value.__context__ is None


EVERY_CODE = sorted(
    {*faults._WRONG_CREDENTIALS, *faults._DENIED, *faults.REGIONS, *THROTTLED, *UNAVAILABLE}
    | {"NoSuchBucket", "InvalidBucketName", "SomethingNew", "<odd>"}
)
SUBJECTS = [("arn:aws:s3:::acme/a", "lake"), ("", "lake"), ("arn:aws:s3:::acme/a", "")]


def _says_all(error: errors.S3ConnError, resource: str, connection: str) -> None:
    """Asserts that an error begins with what it is about, once, and has a way on."""
    names = [f"the connection {connection}" if connection else "", resource, resource.replace("arn:aws:s3:::", "s3://")]
    named = [name for name in names if name and name in error.message] or ["acme"] * ("acme" in error.message)
    assert named, error.message
    assert not error.message.startswith((" ", ":"))
    assert "  " not in error.message
    assert error.message.count(named[0]) == 1
    assert error.hint


@pytest.mark.parametrize(("resource", "connection"), SUBJECTS)
@pytest.mark.parametrize("operation", ["ListBuckets", "ListObjectsV2", "HeadBucket", "AssumeRole", "PutObject"])
@pytest.mark.parametrize("code", EVERY_CODE)
def test_every_code_becomes_an_error_with_a_subject_and_a_way_on(code, operation, resource, connection):
    """Whatever a server says to whatever is asked, the error names bucket, object or connection, and what to do."""
    found = faults.from_code(code, operation=operation, resource=resource, connection=connection)
    _says_all(found, resource, connection)


@pytest.mark.parametrize(("resource", "connection"), SUBJECTS)
@pytest.mark.parametrize("kind", classes(), ids=lambda one: one.__name__)
def test_every_exception_becomes_an_error_with_a_subject_and_a_way_on(kind, resource, connection):
    """The same of every exception that botocore may raise."""
    found = faults.translate(made(kind), resource=resource, connection=connection)
    if not isinstance(found, errors.InternalError):
        _says_all(found, resource, connection)


def test_the_closest_subject_stays():
    """What names an error first is what it is about; a later name changes nothing, and all forms show it."""
    error = errors.RegionError("the region is missing", hint="Set it.").of("s3://acme").of("the connection lake")
    assert error.message == error.args[0] == "s3://acme: the region is missing"
    assert error.block() == "RegionError: s3://acme: the region is missing\n  Set it."


@pytest.mark.parametrize("code", EVERY_CODE)
def test_no_hint_tells_to_change_a_connection_that_may_not_be_there(code):
    """What a server refuses to a CREATE must not be answered by an ALTER."""
    assert "ALTER" not in faults.from_code(code, operation="ListBuckets", resource="", connection="lake").hint


PACKAGE = Path(faults.__file__).parents[1]
SOURCES = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
PAGES = {
    path: path.read_text(encoding="utf-8")
    for folder in ("docs", "examples")
    for ending in ("md", "ipynb", "usql")
    for path in (PACKAGE.parent / folder).rglob(f"*.{ending}")
}
# A condition of trust policies, and an action by which moto alone judges a HEAD.
NO_ACTIONS = {"sts:ExternalId", "s3:HeadBucket"}


def _is_action(text: str) -> bool:
    service, _, name = text.partition(":")
    return name in iam_actions.actions[service]


def test_every_action_that_our_texts_name_is_one_of_iam():
    """What somebody is told to ask for can be asked for: in code, messages, documentation and notebooks."""
    services = "|".join(map(re.escape, iam_actions.actions))
    named = {
        match[0]
        for text in [*SOURCES.values(), *PAGES.values(), (PACKAGE.parent / "README.md").read_text(encoding="utf-8")]
        for match in re.finditer(rf"(?<![\w:/-])(?:{services}):[A-Z][A-Za-z]+\b(?![:(*…])", text)
    }
    assert len(named) > 20
    assert {each for each in named - NO_ACTIONS if not _is_action(each)} == set()


OBJECT_ARN = "arn:aws:s3:::acme/folder/a.csv"
FAST = "fast--use1-az4--x-s3"
ROLE = "arn:aws:iam::123456789012:role/reader"
STATEMENTS = [
    "SHOW BUCKETS",
    "LIST",
    "LIST 's3://acme/folder/'",
    "LIST 's3://acme/folder/' VERSIONS",
    f"LIST 's3://{FAST}/folder/'",
    "EXPLORE 's3://acme/'",
    "ANALYZE 's3://acme/' BY UPLOADS",
    "PREVIEW 's3://acme/a.csv'",
    "PREVIEW 's3://acme/a.csv?versionId=abc'",
    f"PREVIEW 's3://{FAST}/a.csv'",
    "SELECT * FROM 's3://acme/a.parquet'",
    "SELECT * FROM 's3://acme/a.csv?versionId=abc'",
    "SELECT * FROM 's3://acme/*.csv'",
    "DISCOVER 's3://acme/'",
    "TEST CONNECTION lake LOCATION 's3://acme/' WITH WRITE",
    "CREATE JOB j AS COPY FROM S3 lake LOCATION = 's3://acme/in/' DELETE_FILES_AFTER_LOAD = TRUE INTO t",
    "CREATE JOB j AS INSERT INTO S3 lake LOCATION = 's3://acme/out/' SELECT 1 AS a",
    f"CREATE S3 CONNECTION other AWS_ROLE = '{ROLE}'",
]
OF_DIRECTORY_BUCKETS = "arn:aws:s3express:*:*:bucket/*"  # which the library's list has no kinds for


def _is_of_iam(action: str, arn: str) -> bool:
    """Whether IAM takes the ARN, which may end in a star, as what the action is allowed on."""
    service, _, name = action.partition(":")
    if service == "s3express":
        return arn == "*" or re.fullmatch(re.escape(OF_DIRECTORY_BUCKETS)[:-2] + r"[a-z0-9-]+--x-s3", arn) is not None
    kinds = iam_actions.actions[service][name]["resources"]
    patterns = [iam_actions.resource_types[service][kind]["arn_pattern"] for kind in kinds]
    forms = [re.escape(pattern).replace(r"\*", "[^:/]*") for pattern in patterns]
    forms = [re.sub(r"/\[\^:/\]\*$", "/.*", form) for form in forms]
    return any(re.fullmatch(form, arn) for form in forms) or arn == "arn:aws:s3:::*" or (arn == "*" and not kinds)


def test_the_arn_that_is_named_with_an_action_is_of_the_kind_that_iam_takes(in_place_of_aws):
    """Bucket, object, role or session with a directory bucket: in EXPLAIN, and in each refusal by a server."""
    with recording(lambda one: error(403, "AccessDenied") if one.method != "HEAD" else Reply(403)) as wire:
        in_place_of_aws(wire)
        run = Statements()
        pair = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "b"}
        run(create("lake", REGION="us-east-1", VALIDATE=False, **pair))
        named = set()
        for text in STATEMENTS:
            named |= set(run(f"EXPLAIN {text}")[["action", "resource"]].dropna().itertuples(index=False, name=None))
            if not text.startswith(("EXPLORE", "TEST", "CREATE S3")):
                failed = run.fails(text)
                named.add((failed.action, failed.resource or "*"))
    assert {(action, arn) for action, arn in named if not _is_of_iam(action, arn)} == set()
    assert {
        ("s3express:CreateSession", f"arn:aws:s3express:*:*:bucket/{FAST}"),
        ("s3:GetObjectVersion", "arn:aws:s3:::acme/a.csv"),
        ("s3:ListBucketVersions", "arn:aws:s3:::acme"),
        ("sts:AssumeRole", ROLE),
    } <= named


@pytest.mark.parametrize(
    ("operation", "action"),
    [
        ("GetObject", "s3:GetObjectVersion"),
        ("HeadObject", "s3:GetObjectVersion"),
        ("GetObjectTagging", "s3:GetObjectVersionTagging"),
        ("DeleteObject", "s3:DeleteObjectVersion"),
        ("PutObject", "s3:PutObject"),
    ],
)
def test_a_version_takes_a_right_of_its_own(operation, action):
    """What is missing for one version of an object is said so, and is one of IAM's."""
    said = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {faults.VERSIONED: True}}
    found = faults.translate(boto.ClientError(said, operation), resource=OBJECT_ARN)
    assert (found.action, found.resource) == (action, OBJECT_ARN)
    assert _is_action(action)


DENIALS = {
    "Access Denied": "",
    "Access Denied.": "",
    "Forbidden": "",
    "": "",
    "Transaction cap exceeded, see the Caps page": "; the server says: Transaction cap exceeded, see the Caps page",
    "User: arn:aws:iam::123456789012:user/me is not authorized to perform: s3:ListBucket with an explicit deny": (
        "; the server says: User: … is not authorized to perform: s3:ListBucket with an explicit deny"
    ),
}


@pytest.mark.parametrize("said", DENIALS)
def test_a_denial_has_the_server_s_own_words(said):
    """Where a server says more than that it denies, that is said, too."""
    found = faults.from_code("AccessDenied", operation="ListObjectsV2", resource=RESOURCE, said=said)
    assert found.message == f"access denied: s3:ListBucket is missing on {RESOURCE}{DENIALS[said]}"


@pytest.mark.parametrize("service", ["s3", "sts"])
def test_every_operation_that_we_ask_for_has_an_action_of_iam(service):
    """The action is found by the operation, for all of botocore's whose method or name stands in our code."""
    whole = "\n".join(SOURCES.values())
    operations = botocore.session.Session().get_service_model(service).operation_names
    ours = [each for each in operations if re.search(rf"\b(?:{each}|{xform_name(each)})\b", whole)]
    assert len(ours) > {"s3": 15, "sts": 2}[service]
    assert [each for each in ours if not _is_action(faults.action_of(each))] == []


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "the server does not speak TLS"),
        ("[SSL: RECORD_LAYER_FAILURE] record layer failure", "the server does not speak TLS"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed", "the TLS certificate of the server is not trusted"),
    ],
)
def test_plain_http_behind_https_is_told_from_a_certificate(said, message):
    """A server without TLS is answered with how to write its URL, and not with a CA's file."""
    failure = faults.unreachable(boto.SSLError(endpoint_url="https://localhost:9000", error=said))
    assert failure.message == message
    assert ("http://" in failure.hint) == ("speak" in message)


@pytest.mark.parametrize(
    ("given", "said"), [({}, "Add EXTERNAL_ID"), ({"EXTERNAL_ID": "12345"}, "EXTERNAL_ID may not be")]
)
def test_a_role_that_is_denied_names_the_external_id(given, said, monkeypatch):
    """Whether one was given or not, the option is named beside the action that is missing."""

    def refused(_):
        raise boto.ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "AssumeRole")

    monkeypatch.setattr("s3conn_magic.connections.credentials.AssumeRoleCredentialFetcher.fetch_credentials", refused)
    keys = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": Secret("made-up")}
    options = {"AWS_ROLE": "arn:aws:iam::123456789012:role/reader", **keys, **given}
    connection = Connection("denied", {name: BoundValue(value) for name, value in options.items()})
    with pytest.raises(errors.AccessDeniedError) as failed:
        connection.frozen_credentials()
    assert failed.value.hint.startswith(said)
