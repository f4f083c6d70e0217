"""Which operations of all of AWS's services read, by botocore's descriptions of them."""

from __future__ import annotations

import re

import pytest
from botocore.awsrequest import AWSRequest
from botocore.loaders import create_loader
from botocore.model import ServiceModel

from s3conn_magic.connections.guards import Sent, request_writes, writes

LOADER = create_loader()
# One and more of each protocol.
SERVICES = "s3control s3tables s3vectors s3outposts sts iam kms sqs sns dynamodb lambda athena glue lakeformation ec2"
SERVICES += " cloudwatch logs secretsmanager mq pinpoint apigatewayv2 codeconnections autoscaling waf cognito-identity"
OF_STS = {"GetCallerIdentity", "GetAccessKeyInfo"}
# They name themselves Get, and give out what could write, or make what they get.
GIVE_A_WAY = [
    ("sts", "GetSessionToken"),
    ("sts", "GetFederationToken"),
    ("s3control", "GetDataAccess"),
    ("sso", "GetRoleCredentials"),
    ("cognito-identity", "GetCredentialsForIdentity"),
    ("cognito-identity", "GetOpenIdToken"),
    ("cognito-identity", "GetId"),
    ("lakeformation", "GetTemporaryGlueTableCredentials"),
    ("redshift", "GetClusterCredentials"),
    ("redshift-serverless", "GetCredentials"),
    ("ecr", "GetAuthorizationToken"),
    ("codeartifact", "GetAuthorizationToken"),
    ("lightsail", "GetBucketAccessKeys"),
    ("ec2", "GetPasswordData"),
    ("datazone", "GetEnvironmentCredentials"),
    ("emr-containers", "GetManagedEndpointSessionCredentials"),
    ("auditmanager", "GetEvidenceFileUploadUrl"),
    ("quicksight", "GetDashboardEmbedUrl"),
    ("waf", "GetChangeToken"),
]
DOES = "Create Delete Put Update Start Stop Send Run Execute Invoke Add Remove Set Attach Detach Modify Import Restore"
DOES += " Copy Assume Upload Abort Complete Tag Untag Enable Disable Register Deregister Cancel Purge Receive Generate"


def model(name):
    return ServiceModel(LOADER.load_service_model(name, "service-2"), name)


def request(service, operation):
    """The least that a request for an operation looks like."""
    protocol, name = service.metadata["protocol"], operation.name
    path, headers, form = re.sub(r"\{[^}]*\}", "abc", operation.http.get("requestUri", "/")), {}, b""
    if protocol == "smithy-rpc-v2-cbor":
        path = f"/service/{service.metadata['targetPrefix']}/operation/{name}"
    elif protocol == "json":
        headers = {"X-Amz-Target": f"{service.metadata['targetPrefix']}.{name}"}
    elif not protocol.startswith("rest"):
        form = {"Action": name, "Version": service.metadata["apiVersion"]}
    return Sent.of(AWSRequest(operation.http["method"], f"https://host{path}", headers=headers, data=form))


@pytest.mark.parametrize("name", SERVICES.split())
def test_a_request_is_judged_as_its_operation(name):
    """What is sent for an operation reads if its name says so; verbs that do something never pass."""
    service = model(name)
    operations = [service.operation_model(one) for one in service.operation_names]
    assert {one.name for one in operations if request_writes(service, request(service, one)) != writes(one)} == set()
    does = tuple(DOES.split())
    assert {one.name for one in operations if not writes(one) and one.name.startswith(does)} == set()
    assert {one.http["method"] for one in operations if not writes(one)} <= {"GET", "HEAD", "POST"}
    assert any(not writes(one) for one in operations)


def test_of_sts_nothing_that_gives_out_credentials_reads():
    """Of STS, what says who one is passes, and nothing else."""
    service = model("sts")
    assert {name for name in service.operation_names if not writes(service.operation_model(name))} == OF_STS


@pytest.mark.parametrize(("service", "operation"), GIVE_A_WAY)
def test_what_gives_out_credentials_does_not_read(service, operation):
    """An operation that gets credentials, tokens, passwords or links to upload by is refused as a write is."""
    assert writes(model(service).operation_model(operation))


CHANGED = [
    ("s3control", "GET", "/v20180820/accesspoint/abc", False),
    ("s3control", "DELETE", "/v20180820/accesspoint/abc", True),
    ("s3control", "GET", "/not/of/this/service", True),
    ("s3vectors", "POST", "/ListVectors", False),
    ("s3vectors", "POST", "/DeleteVectors", True),
    ("s3", "GET", "/bucket/key?uploads&x-id=PutObject", False),
    ("s3", "POST", "/bucket/key?select&select-type=2", False),
    ("s3", "POST", "/bucket/key?select&select-type=2&x-id=SelectObjectContent", False),
    ("s3", "POST", "/bucket?delete", True),
    ("s3", "POST", "/WriteGetObjectResponse", True),
    ("s3", "GET", "/bucket?session", True),
    ("s3", "OPTIONS", "/bucket", True),
    ("sts", "POST", "/", True),
    ("sts", "GET", "/?Action=GetCallerIdentity&Version=2011-06-15", False),
    ("sts", "GET", "/?Action=GetCallerIdentity&Action=AssumeRole", True),
    ("sqs", "POST", "/", True),
]


@pytest.mark.parametrize(("service", "method", "target", "expected"), CHANGED)
def test_a_request_that_fits_no_reading_operation_writes(service, method, target, expected):
    """Method, path, query and form decide together, and what they name twice must read twice."""
    assert request_writes(model(service), Sent.of(AWSRequest(method, f"https://host{target}"))) is expected


def test_the_endpoint_s_own_path_is_left_out():
    """A server below a path is judged by what comes after it."""
    sent = Sent.of(AWSRequest("POST", "https://host/base/ListVectors"), "/base/")
    assert request_writes(model("s3vectors"), sent) is False
