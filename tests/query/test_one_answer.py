"""PREVIEW, SELECT and COPY say the same of an object: names of columns, and the first rows."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import cramjam
from lakes import moto_lake, rows_of  # noqa: F401 - pytest finds the fixture here
from packing import by_arrow

if TYPE_CHECKING:
    from lakes import Lake

GROUP = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:targetgroup/web/0123456789abcdef"
ALB = (
    "https 2026-03-04T05:06:07.890123Z app/web/0123456789abcdef 198.51.100.7:4711 10.1.2.3:8080 0.001 0.020 0.000 200"
    ' 200 61 1204 "GET https://shop.example:443/a?b=c HTTP/1.1" "Mozilla/5.0 (X11; Linux)" ECDHE-RSA-AES128-GCM-SHA256'
    f' TLSv1.2 {GROUP} "Root=1-abc-def" "shop.example" "-" 0 2026-03-04T05:06:07.869000Z "forward" "-" "-"'
    ' "10.1.2.3:8080" "200" "-" "-"\n'
)
OWNER = "0123456789abcdef" * 4
S3 = (
    f"{OWNER} logs-bucket [04/Mar/2026:05:06:07 +0000] 198.51.100.7 {OWNER} 3E57427F3EXAMPLE REST.GET.OBJECT a/b%2520c"
    ' "GET /a/b%20c HTTP/1.1" 200 - 113 113 7 6 "-" "agent "quoted" 1.0" - hostid= SigV4 ECDHE AuthHeader'
    " logs-bucket.s3.amazonaws.com TLSv1.2 - - eu-central-1\n"
)
FLOW = "2 111122223333 eni-0a1b2c3d4e5f 10.0.0.1 10.0.0.2 443 50000 6 10 840 1772600000 1772600060 ACCEPT OK\n"
NO_FLOW = "2 111122223333 eni-0a1b2c3d4e5f - - - - - - - 1772600000 1772600060 - NODATA\n"
CLOUDFRONT = (
    "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method\n"
    "2026-03-04\t05:06:07\tFRA50-C1\t2390\t198.51.100.7\tGET\n2026-03-04\t05:06:08\tFRA50-C1\t-\t198.51.100.8\tPUT\n"
)
IIS = "#Software: x\r\n#Fields: date s-ip cs-method\r\n2026-03-04 10.0.0.1 GET\r\n2026-03-04 10.0.0.2 PUT\r\n"
TRAIL = '{"Records":[{"eventVersion":"1.08","eventName":"A","n":1},{"eventVersion":"1.08","eventName":"B","n":2}]}'
TEXT = "a,b\n1,käse\n2,brot\n"
CASES: dict[str, bytes | str] = {
    "header.csv": "a,b\n1,x\n2,y\n",
    "none.csv": "1,x\n2,y\n",
    "texts.csv": "p,q\nx,y\nz,w\n",
    "name_is_missing.csv": ",n\n0,x\n1,y\n",
    "twice.csv": "a,A,\n1,2,3\n",
    "eleven.csv": ",".join(map(str, range(11))) + "\n",
    "decimal_comma.csv": "a;b\n1,5;x\n2,5;y\n",
    "zeros.csv": "zip\n01234\n99999\n",
    "quoted.csv": 'a,b\n1,"two\nlines, ""quoted"""\n',
    "blank.csv": "\n\na,b\n\n1,2\n\n3,\n",
    "dates.csv": "d,t\n2026-01-02,2026-01-02 03:04:05\n2026-01-03,2026-01-02T03:04:06\n",
    "numbers.csv": "a,b,c\n1.50,1e5,true\n2.25,2e5,FALSE\n",
    "no_number.csv": "a,b,c,d\n1_000,+5,007,0x10\n2_000,+6,008,0x11\n",
    "x.tsv": "a\tb\n1\tx, z\n2\ty\n",
    "x.psv": "a|b\n1|x\n2|y\n",
    "no_name": "a|b\n1|x\n2|y\n",
    "json_in.csv": '{"a": 1}\n{"a": 2}\n',
    "lines.json": '{"a": 1}\n{"b": "x", "a": 2}\n',
    "array.json": '[{"a": 1, "b": {"c": [1]}}, {"a": null, "b": {"c": []}}]',
    "concatenated.json": '{"a": 1}{"a": 2} {"a": 3}',
    "indented.json": '{\n  "a": 1\n}\n{\n  "a": 2\n}\n',
    "names.json": '{"a": 1, "A": 2, "": 3}\n{"a": 1, "A": 2, "": 3}\n',
    "mixed.json": '{"a": 1}\n{"a": "x"}\n',
    "many_digits.csv": "a,b,c\n12345678901234567.25,1234567890123456789,0.1234567890123456789\n1.5,1,2\n",
    "moments.json": '{"a": "2026-01-02"}\n{"a": "2026-01-03"}\n',
    "alb.log": ALB * 2,
    "s3log": S3 * 2,
    "flow.log": FLOW + NO_FLOW,
    "cloudfront.gz": gzip.compress(CLOUDFRONT.encode()),
    "iis.log": IIS,
    "trail.json.gz": gzip.compress(TRAIL.encode()),
    "utf8mark.csv": TEXT.encode("utf-8-sig"),
    "utf16.csv": TEXT.encode("utf-16"),
    "utf16be.csv": TEXT.encode("utf-16-be"),
    "utf32le.csv": TEXT.encode("utf-32-le"),
    "x.csv.gz": gzip.compress(TEXT.encode()),
    "x.csv.bz2": bz2.compress(TEXT.encode()),
    "x.csv.xz": lzma.compress(TEXT.encode()),
    "x.csv.zst": by_arrow("zstd")(TEXT.encode()),
    "x.csv.lz4": by_arrow("lz4")(TEXT.encode()),
    "x.csv.sz": bytes(cramjam.snappy.compress(TEXT.encode())),
}


def _plain(value: Any) -> str | None:
    """A value as text, whichever of the three it is from: an hour in UTC, a decimal without zeros at its end."""
    if value is None or str(value) in {"<NA>", "NaT", "nan"}:
        return None
    if isinstance(value, datetime | date):
        return value.isoformat().replace("T00:00:00", "").removesuffix("+00:00")
    if isinstance(value, bool):
        return str(value)
    text = str(value)
    return f"{float(text):g}" if re.fullmatch(r"-?\d+\.\d+", text) else text


def _rows(frame: Any) -> list[list[str | None]]:
    return [[_plain(value) for value in row] for row in frame.itertuples(index=False, name=None)]


def test_the_three_agree(moto_lake: Lake):  # noqa: F811 - the fixture
    """Over a table of texts, logs, encodings and codecs; each as a table."""
    run = moto_lake.session()
    for key, body in CASES.items():
        data = body.encode() if isinstance(body, str) else body
        moto_lake.client.put_object(Bucket=moto_lake.bucket, Key=key, Body=data)
    run("USE CONNECTION lake")
    wrong = {}
    for at, key in enumerate(CASES):
        where = f"s3://{moto_lake.bucket}/{key}"
        seen = run(f"PREVIEW '{where}'").frame
        selected = run(f"SELECT * FROM '{where}'")
        run(f"CREATE JOB j{at} AS COPY FROM S3 lake LOCATION = '{where}' INTO t{at}")
        copied = run(f'SELECT * EXCLUDE ("$object") FROM t{at}')
        found = [(list(frame.columns), _rows(frame)) for frame in (seen, selected, copied)]
        if not (found[0] == found[1] == found[2] and found[0][1]):
            wrong[key] = found
    assert not wrong
