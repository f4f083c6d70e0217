"""Names of options that stand in no table: what they are here is told by their words."""

from __future__ import annotations

import pytest

from s3conn_magic.language.given import Given
from s3conn_magic.language.option_names import is_telling, option_words, rank_of, synonym

MEANT = {
    "AWS_ACCESS_KEY_ID": "store.s3.access-key lake_s3_access_key_id s3.client.main.access_key minioAccessKeyId",
    "AWS_SECRET_ACCESS_KEY": "store.s3.secret-key archive.aws.secretAccessKey lake_s3_secret s3accesssecret",
    "AWS_SESSION_TOKEN": "store.s3.session-token lakeSecurityToken",
    "AWS_ROLE": "store.s3.iam_role_arn client.assume-role.arn fs.s3a.bucket.logs.assumed.role.arn s3.credentials.role",
    "EXTERNAL_ID": "store.s3.role_external_id client.assume-role.external-id",
    "REGION": "store.s3.region_name lake-s3-location-constraint s3clientregion",
    "ENDPOINT": "store.s3.endpoint_url lake.minio.endpoint s3.service-url",
    "ADDRESSING_STYLE": "store.s3.force-path-style s3forcepathstyle lake_virtual_hosted_style s3.bucket-lookup",
    "ANONYMOUS": "store.s3.no-sign-request lake_allow_anonymous s3.unsafe-anonymous-auth",
    "REQUESTER_PAYS": "store.s3.requester-pays.enabled lake_request_payer",
    "ENCRYPTION_KMS_KEY": "store.s3.sse.kms_key_id lake-ssekms-key-id",
    "ENCRYPTION_CUSTOMER_MANAGED_KEY": "store.s3.customer-key lake_master_key",
    "PATH_DISPLAY_FILTERS": "store.s3.bucket_name lake.warehouse s3-key-prefix",
    "": "store.s3.max-retries s3.upload.part-size lake_s3_canned_acl store.glue.region store.dynamodb.access_key_id"
    " s3.sts-endpoint s3.role-session-name s3.role-session-duration s3.proxy.host s3.connection-timeout-ms s3.ca-file"
    " s3.server-side-encryption s3.storage-class s3.list-objects-v1 s3.checksum-algorithm s3.credentials-provider"
    " iceberg.catalog.uri website_endpoint kms_encryption_context s3.token-expire-in-secs s3.object-lock-mode",
}


@pytest.mark.parametrize(("ours", "name"), [(ours, name) for ours, names in MEANT.items() for name in names.split()])
def test_a_name_is_known_by_its_words(ours, name):
    """It is an option of ours, or left out with a reason."""
    entry = synonym(name)
    assert entry, name
    assert entry.ours == ours
    assert entry.ours or entry.difference


@pytest.mark.parametrize(
    "name", ["primary_key", "sort.key", "database_user", "kafka.password", "webhook_url", "colour"]
)
def test_a_vague_word_beside_an_unknown_one_is_no_option(name):
    """The key of a table is no access key, and the user of a database none of S3."""
    entry = synonym(name)
    assert entry is None or not entry.ours


def test_what_is_of_s3_is_the_surer():
    """Of a server's address and S3's endpoint, the one that says S3 counts; the words before that say nothing."""
    assert rank_of("STORE_S3_ENDPOINT") > rank_of("SERVER_URI")
    assert [*option_words("SPARK_SQL_CATALOG_MINE_S3_ACCESS_KEY")] == ["access", "key"]
    assert is_telling("store.s3.secret-key")
    assert not is_telling("number_of_rows")


@pytest.mark.parametrize(
    ("names", "values"),
    [
        (("S3_REGION", "AWS_REGION"), ("us-west-2", "eu-west-1")),
        (("ENDPOINT_URL", "S3_ENDPOINT"), ("http://a.example:9000", "http://b.example:9000")),
        (("ACCESS_KEY", "AWS_ACCESS_KEY"), ("AKIAIOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE")),
        (("COMMENT1", "COMMENT2"), ("one", "two")),
    ],
)
def test_two_names_of_one_option_with_differing_values_are_not_made_one(names, values):
    """No hint leaves out one of two values in a statement of ours; two that are the same may become one."""
    told = Given(tolerant=True)
    for name, value in zip(names, (values[0], values[0]), strict=True):
        told.add(name, f"'{value}'")
    assert not told.is_unsure()
    told.add(names[1], f"'{values[1]}'")
    assert told.is_unsure()
