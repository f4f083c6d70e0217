from __future__ import annotations

from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from boto_clients import assumed, client
from botocore.exceptions import ClientError

from s3conn_magic.locations import Location
from s3conn_magic.sandbox import EMPTY, LAKE, LOGS, PUBLIC, Keys
from s3conn_magic.secrets import Secret

WRONG = Secret("wrong/secret/EXAMPLE/0000000000000000000")


def refusal(call, **arguments):
    """Error code of a call that must be refused."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return refused.value.response["Error"]["Code"]


@pytest.fixture
def restricted(sandbox):
    return client("s3", sandbox.endpoint, sandbox.restricted)


def test_the_admin_may_write_and_delete(sandbox):
    """What the admin writes can be read again until it is deleted."""
    s3 = client("s3", sandbox.endpoint, sandbox.admin)
    s3.put_object(Bucket=EMPTY, Key="new +%.bin", Body=b"\x00" * 70_000, Metadata={"with_underscore": "kept"})
    got = s3.get_object(Bucket=EMPTY, Key="new +%.bin")
    s3.delete_object(Bucket=EMPTY, Key="new +%.bin")
    assert got["Body"].read() == b"\x00" * 70_000
    assert got["Metadata"] == {"with_underscore": "kept"}
    assert s3.list_objects_v2(Bucket=EMPTY)["KeyCount"] == 0


def test_the_restricted_identity_may_use_its_location(sandbox, restricted):
    """It lists its prefix, and a folder below, and reads what is in it."""
    location = Location.parse(sandbox.restricted_location)
    keys = [i["Key"] for i in restricted.list_objects_v2(Bucket=location.bucket, Prefix=location.key)["Contents"]]
    below = restricted.list_objects_v2(Bucket=location.bucket, Prefix=location.key + "orders")
    assert keys == ["sales/customers.csv", "sales/orders.csv"]
    assert below["KeyCount"] == 1
    assert restricted.get_object(Bucket=location.bucket, Key=keys[0])["Body"].read().startswith(b"customer_id,")


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("list_buckets", {}),
        ("list_objects_v2", {"Bucket": LAKE}),
        ("list_objects_v2", {"Bucket": LAKE, "Prefix": ""}),
        ("list_objects_v2", {"Bucket": LAKE, "Prefix": "sales"}),
        ("list_objects_v2", {"Bucket": LAKE, "Prefix": "events/"}),
        ("list_objects", {"Bucket": LAKE}),
        ("list_objects_v2", {"Bucket": LOGS, "Prefix": "sales/"}),
        ("list_object_versions", {"Bucket": LAKE, "Prefix": "sales/"}),
        ("get_object", {"Bucket": LAKE, "Key": "README.txt"}),
        ("get_bucket_location", {"Bucket": LAKE}),
        ("put_object", {"Bucket": LAKE, "Key": "sales/new.csv", "Body": b""}),
        ("delete_object", {"Bucket": LAKE, "Key": "sales/orders.csv"}),
    ],
)
def test_the_restricted_identity_may_do_nothing_else(restricted, call, arguments):
    """Listing buckets, other prefixes and buckets, reading outside and every write is AccessDenied."""
    assert refusal(getattr(restricted, call), **arguments) == "AccessDenied"


def test_a_refused_head_bucket_names_the_region(restricted):
    """As AWS does, so that the region can be found without a permission."""
    with pytest.raises(ClientError) as refused:
        restricted.head_bucket(Bucket="acme-archive-eu")
    answer = refused.value.response["ResponseMetadata"]
    assert (answer["HTTPStatusCode"], answer["HTTPHeaders"]["x-amz-bucket-region"]) == (403, "eu-west-1")


@pytest.mark.parametrize("who", ["admin", "restricted"])
def test_a_wrong_secret_is_refused(sandbox, who):
    """A known key id with another secret fails on its signature, for S3 and STS, in and out of its prefix."""
    keys = Keys(getattr(sandbox, who).access_key_id, WRONG)
    s3, sts = (client(service, sandbox.endpoint, keys) for service in ("s3", "sts"))
    assert refusal(s3.list_buckets) == "SignatureDoesNotMatch"
    assert refusal(s3.list_objects_v2, Bucket=LAKE) == "SignatureDoesNotMatch"
    assert refusal(s3.list_objects_v2, Bucket=LAKE, Prefix="sales/") == "SignatureDoesNotMatch"
    assert refusal(sts.get_caller_identity) == "SignatureDoesNotMatch"


def test_an_unknown_key_id_is_refused(sandbox):
    """S3 and STS each refuse a key id that does not exist, with the code that AWS uses."""
    s3, sts = (client(service, sandbox.endpoint, Keys("AKIAUNKNOWNEXAMPLE00", WRONG)) for service in ("s3", "sts"))
    assert refusal(s3.list_buckets) == "InvalidAccessKeyId"
    assert refusal(sts.get_caller_identity) == "InvalidClientTokenId"


@pytest.mark.parametrize(("who", "user"), [("admin", "user/admin"), ("restricted", "user/sales")])
def test_each_key_pair_has_an_identity(sandbox, who, user):
    """GetCallerIdentity names the user of the keys."""
    sts = client("sts", sandbox.endpoint, getattr(sandbox, who))
    assert sts.get_caller_identity()["Arn"].endswith(user)


@pytest.mark.parametrize("who", ["admin", "restricted"])
def test_the_role_reads_its_bucket_and_no_other(sandbox, who):
    """With the external id, either user gets credentials that read one bucket, and neither write nor list buckets."""
    sts = client("sts", sandbox.endpoint, getattr(sandbox, who))
    answer = sts.assume_role(RoleArn=sandbox.role_arn, RoleSessionName="test", ExternalId=sandbox.external_id)
    s3 = assumed(sandbox.endpoint, answer["Credentials"])
    assert s3.list_objects_v2(Bucket=LAKE)["KeyCount"] > 100
    assert s3.get_object(Bucket=LAKE, Key="README.txt")["ContentLength"] > 0
    assert refusal(s3.list_objects_v2, Bucket=LOGS) == "AccessDenied"
    assert refusal(s3.list_buckets) == "AccessDenied"
    assert refusal(s3.put_object, Bucket=LAKE, Key="x", Body=b"") == "AccessDenied"


@pytest.mark.parametrize("external", [{}, {"ExternalId": "another-id"}], ids=["missing", "wrong"])
def test_the_role_asks_for_its_external_id(sandbox, external):
    """A missing external id and a wrong one are refused alike, for the admin too."""
    sts = client("sts", sandbox.endpoint, sandbox.admin)
    assert refusal(sts.assume_role, RoleArn=sandbox.role_arn, RoleSessionName="test", **external) == "AccessDenied"


def test_no_other_role_can_be_assumed(sandbox):
    """A role that does not exist is refused, not made up."""
    sts = client("sts", sandbox.endpoint, sandbox.admin)
    other = {"RoleArn": sandbox.role_arn + "s", "RoleSessionName": "test", "ExternalId": sandbox.external_id}
    assert refusal(sts.assume_role, **other) == "AccessDenied"


def test_a_wrong_session_token_is_refused(sandbox):
    """Assumed credentials with another session token are InvalidToken."""
    sts = client("sts", sandbox.endpoint, sandbox.admin)
    answer = sts.assume_role(RoleArn=sandbox.role_arn, RoleSessionName="test", ExternalId=sandbox.external_id)
    s3 = assumed(sandbox.endpoint, {**answer["Credentials"], "SessionToken": "another"})
    assert refusal(s3.list_objects_v2, Bucket=LAKE) == "InvalidToken"


def test_anyone_may_read_the_public_bucket_and_no_other(sandbox):
    """Unsigned requests list and read one bucket; elsewhere, and for writes, they are AccessDenied."""
    s3 = client("s3", sandbox.endpoint, None)
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=PUBLIC)["Contents"]] == ["README.txt", "countries.csv"]
    assert s3.get_object(Bucket=PUBLIC, Key="countries.csv")["Body"].read().startswith(b"code,name\n")
    assert refusal(s3.list_objects_v2, Bucket=LAKE) == "AccessDenied"
    assert refusal(s3.list_buckets) == "AccessDenied"
    assert refusal(s3.put_object, Bucket=PUBLIC, Key="x", Body=b"") == "AccessDenied"


def test_moto_s_own_controls_are_closed(sandbox):
    """A page in a browser cannot reset the sandbox through moto's control address."""
    with pytest.raises(HTTPError, match="403"):
        urlopen(f"{sandbox.endpoint}/moto-api/reset", data=b"", timeout=10)
    assert client("s3", sandbox.endpoint, sandbox.admin).list_buckets()["Buckets"]


def test_no_secret_shows_in_what_describes_the_sandbox(sandbox):
    """The sandbox's and its keys' repr hold neither secret."""
    shown = repr(sandbox) + repr(sandbox.admin) + repr(sandbox.restricted)
    assert sandbox.admin.access_key_id in shown
    assert sandbox.admin.secret_access_key.reveal() not in shown
    assert sandbox.restricted.secret_access_key.reveal() not in shown
