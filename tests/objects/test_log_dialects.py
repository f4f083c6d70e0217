"""Logs of AWS and of W3C's form are told by their lines, whatever their objects are called."""

from __future__ import annotations

import csv
import gzip

import pytest

from s3conn_magic.objects.formats import detect

GROUP = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:targetgroup/web/0123456789abcdef"
ALB = (
    "https 2026-03-04T05:06:07.890123Z app/web/0123456789abcdef 198.51.100.7:4711 10.1.2.3:8080 0.001 0.020 0.000 200"
    ' 200 61 1204 "GET https://shop.example:443/a?b=c HTTP/1.1" "Mozilla/5.0 (X11; Linux)" ECDHE-RSA-AES128-GCM-SHA256'
    f' TLSv1.2 {GROUP} "Root=1-abc-def" "shop.example" "-" 0 2026-03-04T05:06:07.869000Z "forward" "-" "-"'
    ' "10.1.2.3:8080" "200" "-" "-"'
)
CLASSIC = (
    "2026-03-04T05:06:07.890123Z web 198.51.100.7:4711 10.1.2.3:80 0.000073 0.001048 0.000057 200 200 0 29"
    ' "GET http://shop.example:80/ HTTP/1.1" "curl/8.0" - -'
)
NLB = (
    "tls 2.0 2026-03-04T05:06:07 net/web/0123456789abcdef 0123456789abcdef 198.51.100.7:4711 10.1.2.3:443 5 2 98 246 -"
    " arn:aws:acm:eu-central-1:111122223333:certificate/x - ECDHE-RSA-AES128-SHA tlsv12 - web.example h2 h2"
    ' "h2","http/1.1" 2026-03-04T05:06:02'
)
OWNER = "0123456789abcdef" * 4
S3 = (
    f"{OWNER} logs-bucket [04/Mar/2026:05:06:07 +0000] 198.51.100.7 {OWNER} 3E57427F3EXAMPLE REST.GET.OBJECT a/b%2520c"
    ' "GET /a/b%20c HTTP/1.1" 200 - 113 113 7 6 "-" "agent "quoted" 1.0" - hostid= SigV4 ECDHE AuthHeader'
    " logs-bucket.s3.amazonaws.com TLSv1.2 - - eu-central-1"
)
FLOW = "2 111122223333 eni-0a1b2c3d4e5f 10.0.0.1 10.0.0.2 443 50000 6 10 840 1772600000 1772600060 ACCEPT OK"
NO_FLOW = "2 111122223333 eni-0a1b2c3d4e5f - - - - - - - 1772600000 1772600060 - NODATA"
FLOW_NAMES = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)
CLOUDFRONT = "date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status"
IIS = "date time s-ip cs-method cs-uri-stem cs-uri-query s-port sc-status time-taken"
BY_BLANKS = {
    "ALB": (f"{ALB}\n{ALB}\n", "ALB access log", 29),
    "ALB, with fields of later": (f'{ALB} TID_1 "-" "-" "-" new\n' * 2, "ALB access log", 34),
    "classic": (f"{CLASSIC}\n", "classic load balancer access log", 15),
    "flow": (f"{FLOW}\n{NO_FLOW}\n", "VPC flow log", 14),
    "flow with names": (f"{FLOW_NAMES}\n{FLOW}\n{NO_FLOW}\n", "VPC flow log", 14),
    "flow with names of its own": ("srcaddr dstaddr srcport pkt-srcaddr\n10.0.0.1 10.0.0.2 443 -\n", "VPC flow log", 4),
    "flow with few names": ("bytes packets start\n840 10 1772600000\n", "VPC flow log", 3),
    "CloudFront": (f"#Version: 1.0\n#Fields: {CLOUDFRONT}\n" + "\t".join("x" * 9) + "\n", "CloudFront log", 9),
    "IIS": (f"#Software: IIS\r\n#Date: now\r\n#Fields: {IIS}\r\n" + " ".join("x" * 9) + "\r\n", "W3C log", 9),
}


@pytest.mark.parametrize("name", ["x", "x.log.gz", "x.csv", "x.txt", "x.gz"])
@pytest.mark.parametrize("case", BY_BLANKS)
def test_a_log_of_fields_is_csv_with_the_names_that_aws_gives(case: str, name: str):
    """Each record has as many fields as there are names, and `-` is no value."""
    text, log, width = BY_BLANKS[case]
    found = detect(name, gzip.compress(text.encode()) if "gz" in name else text.encode(), whole=True)
    assert (found.format.type, found.said) == (
        "TSV" if case == "CloudFront" else "CSV",
        f"as {log}, by its lines",
    )
    assert found.settings["NULL_VALUES"] == ("-",)
    assert len(found.names) == width
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for record in csv.reader(lines, delimiter=found.settings["DELIMITER"]):
        assert len(record) == width


def test_names_are_those_of_the_documentation():
    """In its order, those of later versions of a format behind the earlier ones."""
    names = detect("x", BY_BLANKS["ALB, with fields of later"][0].encode(), whole=True).names
    assert names[:5] == ("type", "time", "elb", "client:port", "target:port")
    assert names[28:] == (
        "classification_reason",
        "conn_trace_id",
        "transformed_host",
        "transformed_uri",
        "request_transform_status",
        "column33",
    )
    assert len(detect("x", BY_BLANKS["ALB"][0].encode(), whole=False).names) == 33
    assert detect("x", BY_BLANKS["flow"][0].encode(), whole=True).names == tuple(FLOW_NAMES.split())
    assert detect("x", BY_BLANKS["flow with names"][0].encode(), whole=True).names == tuple(FLOW_NAMES.split())
    cloudfront = detect("x", BY_BLANKS["CloudFront"][0].encode(), whole=True)
    assert cloudfront.names == tuple(CLOUDFRONT.split())
    assert cloudfront.settings["COMMENT_PREFIX"] == "#"


@pytest.mark.parametrize(("line", "log"), [(S3, "S3 server access log"), (NLB, "NLB access log")])
def test_a_log_that_is_no_table_is_a_pattern(line: str, log: str):
    """Times in brackets and lists of quoted texts are one field each."""
    found = detect("x", f"{line}\n".encode(), whole=True)
    assert (found.format.type, found.said) == ("REGEX", f"as {log}, by its lines")


def test_cloudtrail_is_told_from_json():
    """By its Records; other JSON is JSON."""
    assert detect("x.json", b'{"Records":[{"eventVersion":"1.08"}]}', whole=True).format.type == "CLOUDTRAIL"
    assert detect("x.json.gz", gzip.compress(b'{"Records": []}'), whole=True).format.type == "CLOUDTRAIL"
    assert detect("x.json", b'{"Records":[{"a":1}]}', whole=True).format.type == "JSON"
    assert detect("x.json", b'{"records":[]}', whole=True).format.type == "JSON"


@pytest.mark.parametrize(
    "text",
    [
        "# Heading\n\ntext\n",
        "#!/bin/sh\necho\n",
        "2 x\n3 y\n",
        "version of it\na b c\n",
        "start end\nof it\nand more\n",
    ],
)
def test_other_text_is_no_log(text: str):
    """It is refused."""
    with pytest.raises(Exception, match="neither the name nor the content"):
        detect("x", text.encode(), whole=True)
