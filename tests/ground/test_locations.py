"""Locations: exact, never normalised, and hostile keys made visible."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

import pytest
from corpora import SECRET, leaked
from hypothesis import given
from hypothesis import strategies as st

from s3conn_magic.locations import Location, as_plain, pasted, visible

ACCESS_POINT = "arn:aws:s3:eu-west-1:123456789012:accesspoint/mine"

PARSED = [
    ("s3://bucket", "bucket", ""),
    ("s3://bucket/", "bucket", ""),
    ("s3://bucket/key", "bucket", "key"),
    ("s3://bucket//", "bucket", "/"),
    ("s3://bucket//key", "bucket", "/key"),
    ("s3://bucket/a//b/", "bucket", "a//b/"),
    ("s3://bucket/../a/./b", "bucket", "../a/./b"),
    ("s3://bucket/a%20b%2F", "bucket", "a%20b%2F"),
    ("s3://bucket/ a ", "bucket", " a "),
    ("s3://bucket/a\nb\t\x00", "bucket", "a\nb\t\x00"),
    ("s3://bucket/date=2024-01-01/?x#y", "bucket", "date=2024-01-01/?x#y"),
    ("s3://bucket/\u65e5\u672c/e\u0301", "bucket", "\u65e5\u672c/e\u0301"),
    ("s3://bucket/s3://other/", "bucket", "s3://other/"),
    ("s3://bucket/a@b", "bucket", "a@b"),
    ("s3://bucket/*?[]{}", "bucket", "*?[]{}"),
    ("s3://My_Old.Bucket/x", "My_Old.Bucket", "x"),
    ("s3://my--usw2-az1--x-s3/x", "my--usw2-az1--x-s3", "x"),
    (f"s3://{ACCESS_POINT}", ACCESS_POINT, ""),
    (f"s3://{ACCESS_POINT}/", ACCESS_POINT, ""),
    (f"s3://{ACCESS_POINT}/a/b\nc", ACCESS_POINT, "a/b\nc"),
    (
        "s3://arn:aws-cn:s3:cn-north-1:123456789012:accesspoint:mine/a",
        "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint:mine",
        "a",
    ),
    (
        "s3://arn:aws:s3-object-lambda:eu-west-1:123456789012:accesspoint/l/a",
        "arn:aws:s3-object-lambda:eu-west-1:123456789012:accesspoint/l",
        "a",
    ),
]

REFUSED = [
    ("", "begins with s3://"),
    ("bucket/key", "begins with s3://"),
    ("/bucket/key", "begins with s3://"),
    (" s3://bucket", "begins with s3://"),
    ("s3:/bucket", "begins with s3://"),
    ("S3://bucket", "not S3://"),
    ("s3a://bucket", "not s3a://"),
    ("gs://bucket", "not gs://"),
    ("https://bucket.s3.amazonaws.com/", "not https://"),
    ("s3://", "name is missing"),
    ("s3:///key", "name is missing"),
    ("s3://ab", "3 to 63"),
    ("s3://-bucket", "3 to 63"),
    ("s3://bucket-", "3 to 63"),
    ("s3://b\u00fccket", "3 to 63"),
    ("s3://bucket\\key", "3 to 63"),
    ("s3://my bucket/", "no white space"),
    ("s3://bucket\n", "no white space"),
    ("s3://bucket-*/x", "no wildcard"),
    ("s3://b[ab]c/x", "no wildcard"),
    ("s3://lake@bucket/x", "USING"),
    ("s3://arn:aws:s3:eu-west-1:1:accesspoint/mine", "3 to 63"),
    ("s3://bucket/" + "k" * 1025, "1024 bytes"),
    ("s3://bucket/" + "\u65e5" * 342, "1024 bytes"),
    (f"s3://{ACCESS_POINT}/" + "k" * 1025, "1024 bytes"),
]


@pytest.mark.parametrize(("text", "bucket", "key"), PARSED)
def test_a_location_is_read_exactly(text: str, bucket: str, key: str):
    """Bucket and key are what stands there, with nothing normalised, decoded or stripped."""
    location = Location.parse(text)
    assert (location.bucket, location.key) == (bucket, key)
    assert Location.parse(location.uri) == location
    assert location.uri == str(location) == f"s3://{bucket}/{key}"


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_what_is_no_location_is_refused_with_a_reason(text: str, why: str):
    """The reason names what is wrong."""
    with pytest.raises(ValueError, match=why.replace("(", r"\(")):
        Location.parse(text)


@pytest.mark.parametrize(
    "text",
    [SECRET, f"{SECRET[:12]}://x", f"s3://{SECRET[12:20]}@{SECRET}", f"s3://{SECRET[:9]}*", f"s3://{SECRET[12:]}"],
)
def test_the_reason_never_repeats_the_text(text: str):
    """What is no location may be a secret."""
    with pytest.raises(ValueError, match=r"s3://|name") as caught:
        Location.parse(text)
    assert not leaked(repr(caught.value.args) + repr(caught.value.__context__))


def test_a_key_may_have_1024_bytes():
    """The limit is S3's, in bytes of UTF-8."""
    assert len(Location.parse("s3://bucket/" + "k" * 1024).key) == 1024
    assert len(Location.parse("s3://bucket/" + "\u00e9" * 512).key) == 512


@given(st.text(max_size=300).filter(lambda key: len(key.encode("utf-8", "surrogatepass")) <= 1024))
def test_every_key_makes_the_round_trip(key: str):
    """A location's URI is read back as the same location."""
    assert Location.parse(Location("bucket", key).uri) == Location("bucket", key)


COVERED = [
    ("s3://trusted", "s3://trusted/", True),
    ("s3://trusted", "s3://trusted/a/b", True),
    ("s3://trusted/", "s3://trusted-evil/", False),
    ("s3://trusted", "s3://trusted-evil", False),
    ("s3://trusted", "s3://trusted-evil/trusted", False),
    ("s3://trusted/folder/", "s3://trusted/folder/x", True),
    ("s3://trusted/folder/", "s3://trusted/folder-evil/x", False),
    ("s3://trusted/folder/", "s3://trusted/folder", False),
    ("s3://trusted/folder/", "s3://trusted/", False),
    ("s3://trusted/pre", "s3://trusted/prefix/x", True),
    ("s3://trusted/pre", "s3://trusted/pr", False),
    ("s3://trusted/a//", "s3://trusted/a/b", False),
    ("s3://trusted/a/", "s3://trusted/a//b", True),
    ("s3://trusted/a/", "s3://trusted/a/../b", True),
    ("s3://trusted/A/", "s3://trusted/a/x", False),
    ("s3://Trusted", "s3://trusted", False),
    (f"s3://{ACCESS_POINT}", f"s3://{ACCESS_POINT}/x", True),
    (f"s3://{ACCESS_POINT}", f"s3://{ACCESS_POINT}-evil/x", False),
]


@pytest.mark.parametrize(("outer", "inner", "covered"), COVERED)
def test_a_location_covers_its_bucket_and_prefix_only(outer: str, inner: str, covered: bool):
    """`s3://trusted` is never a match for `trusted-evil`."""
    assert Location.parse(outer).covers(Location.parse(inner)) is covered


@pytest.mark.parametrize(
    ("location", "arn"),
    [
        ("s3://bucket", "arn:aws:s3:::bucket"),
        ("s3://bucket/a//b", "arn:aws:s3:::bucket/a//b"),
        (f"s3://{ACCESS_POINT}", ACCESS_POINT),
        (f"s3://{ACCESS_POINT}/a", f"{ACCESS_POINT}/object/a"),
    ],
)
def test_the_arn_is_that_of_iam(location: str, arn: str):
    """What an IAM policy must name for the bucket, the key, or the access point."""
    assert Location.parse(location).arn == arn


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ("s3://bucket", "bucket"),
        ("s3://bucket/key", "key"),
        ("s3://bucket/a/b.csv", "b.csv"),
        ("s3://bucket/a/b/", "b/"),
        ("s3://bucket/a//", "/"),
        ("s3://bucket//", "/"),
        ("s3://bucket/a/", "a/"),
        ("s3://bucket//key", "key"),
    ],
)
def test_the_name_is_the_last_segment(location: str, name: str):
    """A folder keeps its slash; an empty segment is the slash alone."""
    assert Location.parse(location).name == name


SHOWN = [
    ("", ""),
    ("plain/key.csv", "plain/key.csv"),
    ("\u65e5\u672c e\u0301 \U0001f4a9", "\u65e5\u672c e\u0301 \U0001f4a9"),
    ("a\nb\tc\r\x00\x1b[31m", "a\u240ab\u2409c\u240d\u2400\u241b[31m"),
    ("\x7f\x85", "\u2421\u27e8U+0085\u27e9"),
    ("a\u202eb\u2066c\u200dd\ufeff", "a\u27e8U+202E\u27e9b\u27e8U+2066\u27e9c\u27e8U+200D\u27e9d\u27e8U+FEFF\u27e9"),
    (
        "\u2028\u2029\u00ad\u3164\ud800",
        "\u27e8U+2028\u27e9\u27e8U+2029\u27e9\u27e8U+00AD\u27e9\u27e8U+3164\u27e9\u27e8U+D800\u27e9",
    ),
]


@pytest.mark.parametrize(("key", "shown"), SHOWN)
def test_hostile_characters_are_shown_as_symbols(key: str, shown: str):
    """Control, bidi and invisible characters cannot change how the text around them looks."""
    assert visible(key) == shown


@given(st.text())
def test_the_visible_form_has_nothing_invisible_and_is_its_own_visible_form(text: str):
    """It holds no control, format or separator character, can be encoded, and showing it again changes nothing."""
    shown = visible(text)
    assert not [one for one in shown if unicodedata.category(one) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    assert visible(shown) == shown
    assert shown.encode().decode() == shown
    assert "\n" not in shown


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
def test_printable_ascii_is_shown_as_it_is(text: str):
    """Ordinary keys are not touched."""
    assert visible(text) == text


def test_locations_are_ordered_by_bucket_and_key():
    """Sorting is that of S3: bucket, then key, by code point."""
    texts = ["s3://b-b/a", "s3://a-a/b", "s3://a-a/B", "s3://a-a/"]
    assert [one.uri for one in sorted(map(Location.parse, texts))] == [
        "s3://a-a/",
        "s3://a-a/B",
        "s3://a-a/b",
        "s3://b-b/a",
    ]


OWN = [
    "http://127.0.0.1:9000",
    "https://minio.local",
    "https://p.supabase.co/storage/v1/s3",
    "https://a.r2.cloudflarestorage.com",
]
PASTED = [
    ("s3://bucket/a%20b+c?d#e", "bucket", "a%20b+c?d#e"),
    ("s3a://bucket/a%20b", "bucket", "a%20b"),
    ("s3n://bucket", "bucket", ""),
    ("S3://bucket//k", "bucket", "/k"),
    ("s3://arn:aws:s3:::bucket/k", "bucket", "k"),
    ("arn:aws:s3:::bucket", "bucket", ""),
    ("arn:aws-cn:s3:::bucket/a/b c", "bucket", "a/b c"),
    ("arn:aws-us-gov:s3:::bucket/a//b/", "bucket", "a//b/"),
    ("arn:aws:s3express:us-west-2:123456789012:bucket/b--usw2-az1--x-s3", "b--usw2-az1--x-s3", ""),
    (ACCESS_POINT, ACCESS_POINT, ""),
    (f"{ACCESS_POINT}/object/a/object/b", ACCESS_POINT, "a/object/b"),
    (
        "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-01ac/accesspoint/mine/object/k",
        "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-01ac/accesspoint/mine",
        "k",
    ),
    ("https://bucket.s3.amazonaws.com", "bucket", ""),
    ("https://bucket.s3.amazonaws.com/a%20b+c%2Bd%2525", "bucket", "a b+c+d%25"),
    ("http://bucket.s3.amazonaws.com//k%0A", "bucket", "/k\n"),
    ("https://my.old.bucket.s3.eu-west-1.amazonaws.com/k", "my.old.bucket", "k"),
    ("https://s3.amazonaws.com/My.Bucket/a/b//c", "My.Bucket", "a/b//c"),
    ("https://s3-eu-west-1.amazonaws.com/bucket/%C3%A4", "bucket", "\u00e4"),
    ("https://S3.EU-WEST-1.amazonaws.com/bucket/K", "bucket", "K"),
    ("https://bucket.s3.dualstack.eu-west-1.amazonaws.com/k", "bucket", "k"),
    ("https://bucket.s3-fips.dualstack.us-gov-west-1.amazonaws.com/k", "bucket", "k"),
    ("https://bucket.s3.cn-north-1.amazonaws.com.cn/k", "bucket", "k"),
    ("https://bucket.s3-accelerate.dualstack.amazonaws.com/k", "bucket", "k"),
    ("https://bucket.s3-external-1.amazonaws.com/k", "bucket", "k"),
    ("https://b--usw2-az1--x-s3.s3express-usw2-az1.us-west-2.amazonaws.com/k", "b--usw2-az1--x-s3", "k"),
    ("https://mine-123456789012.s3-accesspoint.eu-west-1.amazonaws.com/a/b", ACCESS_POINT, "a/b"),
    ("https://bucket.vpce-1a2b-5e6f.s3.us-east-1.vpce.amazonaws.com/files/k", "files", "k"),
    ("https://files.bucket.vpce-1a2b-5e6f.s3.us-east-1.vpce.amazonaws.com/k", "files", "k"),
    ("https://bucket.s3.amazonaws.com/?list-type=2&prefix=a%2Fb/&delimiter=/", "bucket", "a/b/"),
    ("https://s3.console.aws.amazon.com/s3/buckets/bucket?prefix=a+b/&region=eu-west-1", "bucket", "a+b/"),
    ("https://s3.console.aws.amazon.com/s3/buckets/bucket/a/b/?region=us-east-1&tab=overview", "bucket", "a/b/"),
    ("https://eu-west-1.console.aws.amazon.com/s3/object/bucket?prefix=a%2520b", "bucket", "a%20b"),
    ("https://123456789012-ab.eu-west-1.console.aws.amazon.com/s3/buckets/bucket", "bucket", ""),
    ("https://console.aws.amazon.com/s3/home?region=us-east-1#&bucket=bucket&prefix=p/", "bucket", "p/"),
    ("https://console.amazonaws.cn/s3/buckets/bucket?prefix=k", "bucket", "k"),
    ("http://127.0.0.1:9000/bucket/a%2Fb", "bucket", "a/b"),
    ("https://bucket.minio.local:443/k", "bucket", "k"),
    ("https://p.supabase.co/storage/v1/s3/bucket/k", "bucket", "k"),
    ("https://a.r2.cloudflarestorage.com/bucket/k", "bucket", "k"),
]
VERSIONS = [
    "https://bucket.s3.amazonaws.com/k?versionId=L4kqtJlcpXroDTDmpUMLUo",
    "https://bucket.s3.amazonaws.com/k?X-Amz-Algorithm=AWS4&X-Amz-Signature=0f&versionId=L4kqtJlcpXroDTDmpUMLUo&x-id=GetObject",
    "https://s3.console.aws.amazon.com/s3/object/bucket?prefix=k&versionId=L4kqtJlcpXroDTDmpUMLUo",
]
NOT_PASTED = [
    ("https://example.com/bucket/k", "neither Amazon S3's", "USING"),
    ("http://127.0.0.1:9001/browser/bucket", "neither Amazon S3's", "ENDPOINT"),
    ("https://evil-minio.local/bucket/k", "neither Amazon S3's", "ENDPOINT"),
    ("https://bucket.s3.amazonaws.com.evil.org/k", "neither Amazon S3's", "ENDPOINT"),
    ("https://bucket.s3-website.eu-central-1.amazonaws.com/x", "website", "'s3://bucket/x'"),
    ("http://bucket.s3-website-us-east-1.amazonaws.com/it's", "website", "'s3://bucket/it''s'"),
    ("https://alias.mrap.accesspoint.s3-global.amazonaws.com/k", "multi-region", "account"),
    ("https://storage.googleapis.com/bucket/k", "Google", "ENDPOINT = 'https://storage.googleapis.com'"),
    ("https://bucket.storage.googleapis.com/k", "Google", "HMAC"),
    ("gs://bucket/k", "not gs://", "HMAC"),
    ("https://account.blob.core.windows.net/c/k", "Azure", "does not speak S3"),
    ("abfss://c@account.dfs.core.windows.net/k", "not abfss://", "does not speak S3"),
    ("https://bucket.s3.amazonaws.com/k#part", "%23", "'s3://bucket/k'"),
    ("https://bucket.s3.amazonaws.com/k?acl", "behind|follows", "'s3://bucket/k'"),
    ("https://bucket.s3.amazonaws.com/k%zz", "encodes nothing", ""),
    ("https://bucket.s3.amazonaws.com/k%ff", "UTF-8", ""),
    ("https://bucket.s3.amazonaws.com/a b", "white space", ""),
    ("https://s3.amazonaws.com/", "name is missing", ""),
    ("https://console.aws.amazon.com/ec2/home", "shows no bucket", ""),
    ("arn:aws:iam::123456789012:role/x", "does not name a bucket, object", "arn:aws:s3:::bucket/key"),
    ("arn:aws:s3tables:us-east-1:123456789012:bucket/b", "does not name a bucket, object", "arn:aws:s3:::bucket/key"),
]


@pytest.mark.parametrize(("text", "bucket", "key"), PASTED)
def test_a_pasted_form_is_read_where_it_can_be_one_place_only(text: str, bucket: str, key: str):
    """URLs are decoded once, with a `+` kept; ARNs and `s3a://` keep every character."""
    assert pasted(text, OWN)[:2] == (Location(bucket, key), "")


@pytest.mark.parametrize("text", VERSIONS)
def test_a_pasted_url_names_a_version(text: str):
    """The version is read, and of a signature nothing is."""
    assert pasted(text)[:2] == (Location("bucket", "k"), "L4kqtJlcpXroDTDmpUMLUo")


@pytest.mark.parametrize(("text", "why", "hint"), NOT_PASTED)
def test_a_pasted_form_that_is_not_read_says_why_and_what_to_write(text: str, why: str, hint: str):
    """What could be another place, or is of another service, is answered with a way on."""
    with pytest.raises(ValueError, match=why) as caught:
        pasted(text, OWN)
    assert hint in getattr(caught.value, "hint", "")


def test_what_may_hold_a_signature_is_not_plain():
    """Only a location without one may be shown again, as in the history of a notebook."""
    assert as_plain("https://bucket.s3.amazonaws.com/k") == Location("bucket", "k")
    for text in (VERSIONS[1], "s3://bucket/k?X-Amz-Signature=0f", "http://bucket.s3.amazonaws.com/k?Signature=0f"):
        with pytest.raises(ValueError, match="signature"):
            as_plain(text)


@given(st.text(max_size=200), st.sampled_from(["s3a://bucket/", "s3://bucket/", "arn:aws:s3:::bucket/"]))
def test_every_key_is_the_same_in_each_scheme(key: str, scheme: str):
    """What is no URL is not decoded."""
    assert pasted(scheme + key).location.key == key


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_every_key_makes_the_round_trip_through_a_url(key: str):
    """A key that was percent-encoded whole, as botocore and the console do, is read back."""
    assert pasted(f"https://bucket.s3.amazonaws.com/{quote(key, safe='/~')}").location == Location("bucket", key)
    console = f"https://s3.console.aws.amazon.com/s3/object/bucket?prefix={quote(key, safe='')}"
    assert pasted(console).location == Location("bucket", key)
