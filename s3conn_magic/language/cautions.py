"""Cautions: what is accepted and can hardly be meant, each as a line that says what to write; and contradictions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from functools import singledispatch
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from s3conn_magic.language import plans, statements
from s3conn_magic.language.options import OPTIONS, BoundOptions, Settings, is_of_aws
from s3conn_magic.language.source import KEY_ID, masked
from s3conn_magic.language.words import listed, literal, nearest, never_true
from s3conn_magic.locations import WILD, Location, visible
from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

# Options that contradict each other

_NO_NUMBER = re.compile(
    r"(?:us|eu|ap|sa|ca|af|me|il|mx|cn)-(?:gov-|isob?-)?(?:north|south)?(?:north|south|east|west|central)"
)
_ZONE = re.compile(rf"{_NO_NUMBER.pattern}-\d[a-f]")


def _nearly_region(region: str) -> tuple[str, str] | None:
    """Return what is wrong with a region that is nearly one of AWS, and which is meant; None for any other."""
    plain = region.lower()
    if _ZONE.fullmatch(plain):
        return "this is an availability zone, not a region", plain[:-1]
    if _NO_NUMBER.fullmatch(plain):
        return "an AWS region ends in a number", f"{plain}-1"
    spaced = re.sub(r"(?<=[a-z])[ _-]*(?=\d+\Z)", "-", re.sub("[ _]", "-", plain))
    if spaced != plain and _ZONE.fullmatch(f"{spaced}a"):
        return "an AWS region has hyphens", spaced
    if plain != region and _ZONE.fullmatch(f"{plain}a"):
        return "an AWS region is in lower case", plain
    return None


_OF_AWS = re.compile(
    r"https?://(?:[\w.-]*\.)?s3(?:-fips)?[.-](?:dualstack\.)?([a-z]{2}-[a-z-]+-\d+)\..*amazonaws\.com|arn:aws[\w-]*:kms:([\w-]+):.*"
)


def _region_of(text: str) -> str:
    """Return the region in the URL of AWS's S3 or in the ARN of a KMS key; empty without one."""
    match = _OF_AWS.match(text)
    return (match[1] or match[2]) if match else ""


OPPOSED = ("REGION", "ADDRESSING_STYLE", "ENDPOINT", "ENCRYPTION_KMS_KEY")
"""Options of which two may contradict each other."""


class Contradiction(NamedTuple):
    """Options that are never right together: why, and what to write."""

    message: str
    hint: str


def contradiction(options: BoundOptions, given: Collection[str]) -> Contradiction | None:
    """Return what is never right in options of a connection, of which the statement gives some."""
    if "REGION" in options and (wrong := _wrong_region(options)):
        hint = f"Write REGION = '{wrong[1]}' instead." if "REGION" in given else "Both are of one region."
        return Contradiction(wrong[0], hint)
    if "ENDPOINT" in options and "ADDRESSING_STYLE" in options:
        host = urlsplit(str(options["ENDPOINT"].value)).hostname or ""
        if options["ADDRESSING_STYLE"].value == "virtual" and _is_address(host):
            return Contradiction(
                "ADDRESSING_STYLE = 'virtual' puts the bucket's name before the host, and an IP address takes none",
                "Write ADDRESSING_STYLE = 'path' instead.",
            )
    return None


def _wrong_region(options: BoundOptions) -> tuple[str, str] | None:
    """Return what is wrong with REGION, and which is meant: it is nearly one of AWS, or not that of another option."""
    region = str(options["REGION"].value)
    if "ENDPOINT" not in options and (wrong := _nearly_region(region)):
        return wrong
    others = {name: _region_of(str(options[name].value)) for name in OPPOSED[2:] if name in options}
    return next(
        (
            (f"REGION is {region}, and {name} is of {other}", other)
            for name, other in others.items()
            if other not in {"", region}
        ),
        None,
    )


def _is_address(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


# Connections

_TEXTS = tuple(option.name for option in OPTIONS if option.name.startswith(("AWS_", "EXTERNAL_")))
_MISSING = {"null", "none", "nil", "undefined", "nan", "n/a", "true", "false"}
_PLACEHOLDER = re.compile(
    r"<.*>|\{.*\}|(?:your|insert|enter|put)[-_ ].*(?:key|secret|token|id|profile)\w*|x{4,}|changeme|todo|\.{3,}"
    r"|(?:aws[-_])?(?:access|secret)[-_](?:access[-_])?key(?:[-_]id)?",
    re.IGNORECASE,
)
_NOWHERE = {"0.0.0.0", "::"}  # noqa: S104 - what nobody can mean
_GLOBAL = ("https://s3.amazonaws.com", "http://s3.amazonaws.com")
_FIRST_REGION = "us-east-1"


class Goal(NamedTuple):
    """Where a connection goes: its endpoint, None for AWS, its region, and the known regions with their names."""

    endpoint: str | None
    region: str
    regions: Callable[[], Mapping[str, str]]


def of_connection(options: BoundOptions, goal: Goal, given: Collection[str]) -> Iterable[str]:
    """Return cautions on the options of a connection that a statement gives."""
    return map(masked, filter(None, _of_connection(options, goal, given)))


def _of_connection(options: BoundOptions, goal: Goal, given: Collection[str]) -> Iterator[str]:
    settings = Settings(options)
    yield from (_of_text(name, options[name].value) for name in _TEXTS if name in given and name in options)
    if not {"PATH_DISPLAY_FILTERS"}.isdisjoint(given):
        yield from map(_of_filter, settings.display_filters)
    if settings.anonymous and settings.kms_key and not {"ANONYMOUS", "ENCRYPTION_KMS_KEY"}.isdisjoint(given):
        yield "ANONYMOUS = TRUE sends unsigned requests, which no KMS key takes part in: leave ENCRYPTION_KMS_KEY out."
    if "COMMENT" in given and KEY_ID.search(str(options["COMMENT"].value) if "COMMENT" in options else ""):
        yield "COMMENT is shown and saved as it is: leave keys out of it."
    if settings.customer_key and (goal.endpoint or "").startswith("http:"):
        yield "Servers take ENCRYPTION_CUSTOMER_MANAGED_KEY only over TLS: write https:// in ENDPOINT."
    if "ENDPOINT" in given and settings.endpoint:
        yield from _of_endpoint(settings.endpoint, settings.region)
    if goal.endpoint is None or is_of_aws(goal.endpoint):
        yield from _of_pair(settings, given)
        yield from _of_region(settings, goal, given)


def _of_text(name: str, value: Any) -> str:
    written = str(value.reveal() if isinstance(value, Secret) else value)
    if written.lower() in _MISSING:
        return f"{name} is the text of a missing value, which is taken as it is: leave {name} out for none."
    if _PLACEHOLDER.fullmatch(written):
        return f"{name} looks like a placeholder: write its value, or {name} = PROMPT, which asks for it."
    return ""


def _of_filter(place: Location) -> str:
    if place.bucket != place.bucket.lower():
        return (
            f"The filter {visible(place.uri)} has capitals, and names of buckets have had none since 2018: write"
            f" {literal(visible(place.uri.lower() if not place.key else f's3://{place.bucket.lower()}/{place.key}'))}."
        )
    if place.key[:1] in {"!", "-", "^"}:
        return f"The filter {visible(place.uri)} excludes nothing: it is of keys that begin with {visible(place.key)}."
    if WILD.search(place.key) or "s3://" in place.key:
        plain = Location(place.bucket, re.split(r"[*?\[{,]", place.key)[0]).uri
        return (
            f"The filter {visible(place.uri)} is the beginning of keys, not a pattern or a list:"
            f" PATH_DISPLAY_FILTERS = {literal(visible(plain))} shows what is below it, and several are a list."
        )
    return of_key(place, "The filter")


def _of_endpoint(endpoint: str, region: str | None) -> Iterator[str]:
    parts = urlsplit(endpoint)
    if parts.hostname in _NOWHERE:
        yield f"{parts.hostname} is an address to listen at: write ENDPOINT = {literal(_at_home(endpoint))}."
    if parts.scheme == "http" and is_of_aws(endpoint):
        yield "http:// sends everything to Amazon unencrypted: write https:// in ENDPOINT."
    if endpoint in _GLOBAL and region not in {None, _FIRST_REGION}:
        yield f"{endpoint} is of {_FIRST_REGION}: leave ENDPOINT out, and requests go to {region}."
    if ".cn-" in endpoint and not endpoint.endswith(".cn"):
        yield f"Amazon's hosts in China end in .cn: write ENDPOINT = {literal(f'{endpoint}.cn')}."


def _at_home(endpoint: str) -> str:
    return re.sub(r"//(?:0\.0\.0\.0|\[::\])", "//127.0.0.1", endpoint)


def _of_pair(settings: Settings, given: Collection[str]) -> Iterator[str]:
    kind = (settings.access_key_id or "")[:4]
    if {"AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"}.isdisjoint(given):
        return
    if kind == "ASIA" and not settings.session_token:
        yield "A key id that begins with ASIA is temporary: add AWS_SESSION_TOKEN = PROMPT, or its other source."
    if kind == "AKIA" and settings.session_token:
        yield "A key id that begins with AKIA has no session token: leave it out, or give the pair that came with it."


def _of_region(settings: Settings, goal: Goal, given: Collection[str]) -> Iterator[str]:
    place = (settings.region or "") or _region_of(settings.endpoint or "")
    if place and not {"REGION", "ENDPOINT"}.isdisjoint(given) and place not in (known := goal.regions()):
        yield f"AWS has no region {visible(place)} that is known here: {_region_meant(place, known)}."
        return
    arns = {name: str(options.value) for name, options in settings.options.items() if name in _OF_PARTITION}
    for name, arn in arns.items():
        whose, here = arn.split(":")[1] if arn.startswith("arn:aws") else "", _partition(place or goal.region)
        if whose and whose != here and not {name, "REGION", "ENDPOINT"}.isdisjoint(given):
            such = {"aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}.get(whose, _FIRST_REGION)
            write = f"write a region of {whose}, such as '{such}', or an ARN of {here}"
            yield f"{name} is of the partition {whose}, and the region {place or goal.region} of {here}: {write}."


_OF_PARTITION = ("AWS_ROLE", "ENCRYPTION_KMS_KEY")


def _partition(region: str) -> str:
    begun = re.match(r"(cn)-|us-(gov)-|\w\w-(iso[a-z]?)-|(eusc)-", region)
    kind = next(filter(None, begun.groups()), "") if begun else ""
    return {"cn": "aws-cn", "gov": "aws-us-gov", "iso": "aws-iso", "eusc": "aws-eusc"}.get(
        kind, f"aws-iso-{kind[3:]}" if kind else "aws"
    )


def _region_meant(place: str, known: Mapping[str, str]) -> str:
    """Return what to write for a region: that of a city, those of the same direction, or the nearest."""
    plain = re.sub(r"[^a-z]+", " ", place.lower()).strip()
    named = [code for code, name in known.items() if len(plain) > 3 and plain in name.lower()]  # noqa: PLR2004
    stem = re.match(r"\w+(?:-[a-z]+)+-", place)
    same = [code for code in known if stem and code.startswith(stem[0]) and code[len(stem[0]) :].isdigit()]
    same = same or named[:1] or [*filter(None, [nearest(place, known)])]
    if not same:
        return "leave REGION out, and the region of each bucket is looked up"
    return f"write {listed(f'REGION = {literal(code)}' for code in same)}"


# Locations

_ENDING = re.compile(r"\.(?:csv|tsv|json|jsonl|ndjson|parquet|avro|orc|txt|gz|zst|xlsx?)\Z", re.IGNORECASE)


def plain_key(key: str) -> str:
    """Return a key as a path would be read: without `.`, `..`, backslashes, quotes and blanks at its ends."""
    parts: list[str] = []
    for part in re.sub(r"\As3:/+", "", key.strip().strip("\"'`").replace("\\", "/")).lstrip("/").split("/"):
        if part == "..":
            del parts[-1:]
        elif part != ".":
            parts.append(part)
    return re.sub("/{2,}", "/", "/".join(parts))


_TEMPLATE = re.compile(r"\$\{?\w+\}?|\$\(|%\(?\w+\)|<[\w -]+>|\{\{? ?\w+ ?\}?\}|yyyy|(?<=[/=])MM(?=/)|%Y")


def of_key(place: Location, what: str, instead: str = "write the name itself") -> str:
    """Return a caution on a location whose key is taken literally, and looks like a path or a template."""
    if (plain := plain_key(place.key)) != place.key:
        meant = visible(Location(place.bucket, plain.removeprefix(f"{place.bucket}/")).uri)
        return f"{what} {visible(place.uri)} is literal, with every mark in it: write {literal(meant)}."
    if template := _TEMPLATE.search(place.key):
        return f"{what} {visible(place.uri)} is literal, also {visible(template[0])}: {instead}."
    return ""


def _of_target(place: Location, what: str, name: str = "") -> Iterator[str]:
    """Yield cautions on a folder to write to."""
    instead = ("DATE_PATTERN = 'yyyy/MM/dd' makes folders of the date",) if name else ()
    yield of_key(place, what, *instead)
    if wild := re.search(r"[*?\[]", place.key):
        parent = visible(Location(place.bucket, place.key[: place.key.rfind("/", 0, wild.start()) + 1]).uri)
        yield f"{what} {visible(place.uri)} is a folder of just that name: write {literal(parent)}."
    elif _ENDING.search(place.key.rstrip("/")):
        folder = Location(place.bucket, place.key.rstrip("/").rpartition("/")[0])
        folder = Location(folder.bucket, f"{folder.key}/" if folder.key else "")
        below = f", and the object is {visible(place.uri.rstrip('/'))}/{name}…" if name else ""
        yield f"{what} is a folder{below}: write {literal(visible(folder.uri))} for one beside it."


# Statements


def of_plan(plan: plans.Plan) -> Iterable[str]:
    """Return cautions on a statement, or on the one that EXPLAIN is about."""
    return map(masked, filter(None, _of_plan(getattr(plan, "statement", plan))))


@singledispatch
def _of_plan(plan: plans.Plan) -> Iterable[str]:
    del plan
    return ()


def of_name(name: str, kind: str) -> str:
    """Return a caution on a name with blanks at its ends."""
    plain = name.strip()
    return "" if name == plain else f"The {kind} {literal(name)} has blanks around its name, and {plain} is another."


@_of_plan.register
def _named(plan: plans.Create | plans.Rename) -> Iterable[str]:
    if isinstance(plan, plans.Create) and plan.replaces not in {"", plan.name}:
        yield f"Case makes no other name: {plan.name} replaces {plan.replaces}."
    yield of_name(plan.new_name if isinstance(plan, plans.Rename) else plan.name, "connection")


@_of_plan.register
def _reading(plan: statements.Reading) -> Iterable[str]:
    glob = getattr(plan, "matching", None) or ""
    if getattr(plan, "recursive", False) and glob and "/" not in glob and "**" not in glob:
        yield (
            f"RECURSIVE looks below, and {literal(visible(glob))} matches no / in a key: write MATCHING"
            f" {literal(visible(f'**/{glob}'))} for every folder."
        )
    if (tight := re.sub(r"\{[^{}]*\}", lambda braces: re.sub(r"\s*,\s*", ",", braces[0]), glob)) != glob:
        yield f"A blank in braces belongs to the glob: write MATCHING {literal(visible(tight))}."


@_of_plan.register
def _preview(plan: statements.Preview) -> Iterable[str]:
    yield "LIMIT 0 shows no row: leave LIMIT out for the first ones." * (plan.limit == 0)


@_of_plan.register
def _save(plan: statements.SaveConnections) -> Iterable[str]:
    yield f"The file's name ends in a blank: write {literal(plan.path.strip())}." * (plan.path != plan.path.strip())


_LEAST_CACHE, _MOST_CACHE = 10**6, 2 * 10**11
_LONG_SECONDS = 1000
_DASHBOARD = ":8787"


@_of_plan.register
def _set(plan: statements.SetSetting) -> Iterable[str]:
    name, value = plan.name.text, plan.value
    if name == "LIMIT" and value == 0:
        yield "LIST then returns no rows: SET LIMIT = ALL is without a limit."
    if name == "CACHE" and value and not _LEAST_CACHE <= _bytes(value) <= _MOST_CACHE:
        yield f"{value} is hardly meant: write SET CACHE = '{value.split()[0]} MB', or 0 for no cache."
    if name in {"CONNECT_TIMEOUT", "READ_TIMEOUT"} and value >= _LONG_SECONDS and value % 500 == 0:
        minutes, meant = timedelta(seconds=value), max(1, value // _LONG_SECONDS)
        yield f"{name} is in seconds, and {value} are {minutes} hours: SET {name} = {meant} for {value} milliseconds."
    if name == "SCHEDULER" and value.endswith(_DASHBOARD):
        yield f"Port 8787 is usually the dashboard's: write {literal(value.replace(_DASHBOARD, ':8786'))}."
    if name == "DEFAULT_STORAGE" and value:
        place = Location.parse(value[1]) if value[1].startswith("s3://") else None
        yield from _of_target(place, "DEFAULT_STORAGE") if place else ()


def _bytes(size: Any) -> int:
    from s3conn_magic.language.session_settings import bytes_of

    return bytes_of(size)


@_of_plan.register
def _create_table(plan: statements.CreateTable) -> Iterable[str]:
    yield of_name(plan.name.text, "table")
    if plan.storage:
        yield from _of_target(plan.storage[1], "STORAGE_LOCATION")
        if "TABLE_DATA_RETENTION" in plan.options and not _dated(plan):
            yield (
                "TABLE_DATA_RETENTION goes by a partition that is a date or a time, and there is none: add PARTITIONED"
                " BY the column of the date."
            )
    limited = re.search(r"\bLIMIT\s+(\d+)\s*\Z", plan.text or "", re.IGNORECASE)
    if limited and not re.search(r"\bORDER\s+BY\b", plan.text, re.IGNORECASE):
        if "sample" in plan.name.text.lower():
            yield f"LIMIT takes the first rows that come: USING SAMPLE {limited[1]} ROWS takes a sample."
        if plan.or_replace and re.search(rf"\bFROM\s+{re.escape(plan.name.text)}\b", plan.text, re.IGNORECASE):
            yield f"{plan.name.text} keeps {limited[1]} of its rows, and the others are gone."
    if plan.text:
        yield from (*never_true(plan.text), *of_sql(plan.text))


def _dated(plan: statements.CreateTable) -> bool:
    """Return whether a partition is a date or a time, or may be, as its type is not known."""
    types = dict(re.findall(r"(\w+)\s+(\w+)", (plan.columns or "").upper()))
    return any(
        not part.text.isidentifier() or types.get(part.text.upper(), "DATE").startswith(("DATE", "TIMESTAMP"))
        for part in plan.partitioned
    )


@_of_plan.register
def _of_query(plan: statements.Querying) -> Iterable[str]:
    yield from of_sql(plan.text)


# Jobs


@_of_plan.register
def _create_job(plan: plans.CreateJob) -> Iterable[str]:
    yield of_name(plan.name, "job")
    options = plan.options
    if plan.kind == "COPY":
        yield from _copied(options)
    elif plan.kind == "INSERT" and plan.location:
        yield from _of_target(plan.location, "LOCATION", plan.name)
        yield from _delimited(options.get("FILE_FORMAT"))
        if options.get("MAP_COLUMNS_BY_NAME") is False:
            yield "MAP_COLUMNS_BY_NAME = FALSE has no effect: objects keep the query's names. Leave it out."
        if _reads(plan.text, plan.location):
            yield f"The query reads below {visible(plan.location.uri)}, where the job writes: its own rows come back."
    yield from (*_between(options, datetime.now(UTC)), *_expected(plan))
    yield from (*(never_true(plan.text) if plan.kind != "MERGE" else ()), *of_sql(plan.text)) if plan.text else ()


def _between(options: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """Yield cautions on the times between which a job loads."""
    start, end = options.get("START_FROM"), options.get("END_AT")
    if isinstance(start, datetime) and start > now:
        yield f"START_FROM is in the future: nothing is loaded before {start:%Y-%m-%d}."
    if not isinstance(end, datetime):
        return
    if end.time() == time() and (following := end + timedelta(days=1)).day == 1:
        yield f"END_AT leaves out {end:%Y-%m-%d}: write '{following:%Y-%m-%d}' for the whole month."
    if end < now and "RUN_INTERVAL" in options:
        yield "END_AT is in the past, so that no run after this one has anything to do: leave RUN_INTERVAL out."


def _expected(plan: plans.CreateJob) -> Iterator[str]:
    """Yield cautions on the expectations of a job."""
    if any(re.search(r"(?:=|<>|!=)\s*NULL\b", each.predicate, re.IGNORECASE) for each in plan.expectations):
        yield "No row fulfils an expectation with = NULL: write IS NULL, or IS NOT NULL."
    dropped = next((each.name for each in plan.expectations if each.drops), "")
    if dropped and plan.options.get("DELETE_FILES_AFTER_LOAD"):
        yield f"Of rows that {visible(dropped)} drops nothing is left, as their files are deleted: WARN keeps them."
    for each in plan.expectations:
        yield from always_true(each.predicate)
        if re.fullmatch(r"TRUE|FALSE|\d+", each.predicate.strip(), re.IGNORECASE):
            yield f"The expectation {visible(each.name)} is of no column, and the same for every row."


@_of_plan.register
def _alter_job(plan: plans.AlterJob) -> Iterable[str]:
    end = plan.options.get("END_AT")
    if isinstance(end, datetime) and end < datetime.now(UTC) - timedelta(days=365):
        yield f"END_AT is long past: every run leaves out what comes after {end:%Y-%m-%d}."


def _copied(options: Mapping[str, Any]) -> Iterator[str]:
    suffix = options.get("FILE_SUFFIX")
    if suffix and (WILD.search(suffix) or suffix.endswith("$")):
        bare = re.sub(r"^[\W_]*\*|^\.\*|\\|\$$", "", suffix)
        yield f"FILE_SUFFIX is text, no pattern: write FILE_SUFFIX = {literal(visible(bare))}."
    elif suffix and suffix != suffix.strip():
        yield f"FILE_SUFFIX has blanks around it: write {literal(visible(suffix.strip()))}."
    yield from _selected(options)
    prefix = str(options.get("INITIAL_LOAD_PREFIX", ""))
    if prefix.startswith(("s3://", "/")):
        bare = re.sub(r"\A(?:s3://[^/]*)?/+", "", prefix)
        yield f"INITIAL_LOAD_PREFIX is the beginning of keys, without the bucket: write {literal(visible(bare))}."


_KINDS = {"csv": "CSV", "tsv": "TSV", "parquet": "PARQUET", "orc": "ORC", "avro": "AVRO"} | dict.fromkeys(
    ("json", "jsonl", "ndjson"), "JSON"
)


def _selected(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield cautions on options of which one takes away what another one selects."""
    suffix, pattern = options.get("FILE_SUFFIX") or "", options.get("FILE_PATTERN") or ""
    ending = re.search(r"\\\.(\w+)\Z", pattern)
    if suffix and ending and not (suffix.endswith(ending[1]) or f".{ending[1]}".endswith(suffix)):
        yield "No key passes both FILE_SUFFIX and FILE_PATTERN: leave one of them out."
    content = options.get("CONTENT_TYPE")
    named = _KINDS.get(
        (re.findall(r"(?:\A|\.)(csv|tsv|jsonl?|ndjson|parquet|orc|avro)\b", suffix or pattern) or [""])[-1]
    )
    if content and named and content.type in {*_KINDS.values()} and content.type != named:
        yield f"CONTENT_TYPE = {content.type} reads what is named as {named}: write CONTENT_TYPE = {named}."
    yield from _delimited(content)
    computed = {name.casefold() for name, _ in options.get("COLUMN_TRANSFORMATIONS", ())}
    keys = {name.casefold() for name in options.get("DEDUPLICATE_WITH", ((),))[0]}
    for name in options.get("EXCLUDE_COLUMNS", ()):
        if name.casefold() in keys:
            yield f"DEDUPLICATE_WITH needs {visible(name)}: leave it out of EXCLUDE_COLUMNS."
        if name.casefold() in computed:
            yield f"{visible(name)} is in EXCLUDE_COLUMNS and in COLUMN_TRANSFORMATIONS: leave it out of one of them."


def _delimited(content: Any) -> Iterator[str]:
    if content and str(content.get("DELIMITER", "")).isalnum():
        yield f"DELIMITER = {literal(content.get('DELIMITER'))} cuts words: write a mark, such as ',' or ';'."


def _reads(sql: str, place: Location) -> bool:
    """Return whether a query has a path at or below a location, or one that reads all that is below a folder of it."""
    paths = re.findall(r"'s3://(?:[\w-]+@)?([^'*?\[{]*)([^']*)", sql)
    own = f"{place.bucket}/{place.key}"
    deep = any(own.startswith(path) for path, glob in paths if "**" in glob)
    return own.endswith("/") and (deep or any(path.startswith(own) for path, _ in paths))


# Queries

_EITHER = re.compile(
    r"\b(?P<column>[\w.]+)\s*>=?\s*(?P<low>-?[\d.]+)\s+OR\s+(?P=column)\s*<=?\s*(?P<high>-?[\d.]+)"
    r"|\b(?P<other>[\w.]+)\s*<=?\s*(?P<top>-?[\d.]+)\s+OR\s+(?P=other)\s*>=?\s*(?P<least>-?[\d.]+)"
    r"|\b(?P<neither>[\w.]+)\s*(?:<>|!=)\s*(?P<one>'[^']*'|[\d.]+)\s+OR\s+(?P=neither)\s*(?:<>|!=)\s*(?!(?P=one))",
    re.IGNORECASE,
)
_LEFT_JOIN = re.compile(
    r"\bLEFT\s+(?:OUTER\s+)?JOIN\s+(?:\((?:[^()]|\([^()]*\))*\)|'[^']*'|[\w.\"]+)\s+(?:AS\s+)?(?!ON\b|USING\b)(?P<name>\w+)\b",
    re.IGNORECASE,
)
_WHERE = re.compile(
    r"\bWHERE\b(?P<asked>.*?)(?=\b(?:GROUP|ORDER|LIMIT|UNION|HAVING|QUALIFY)\b|\)|\Z)", re.IGNORECASE | re.DOTALL
)


def always_true(sql: str) -> Iterator[str]:
    """Yield notes on two conditions joined by OR of which every row fulfils one."""
    for either in _EITHER.finditer(sql):
        low, high = either["low"] or either["least"], either["high"] or either["top"]
        if not low or float(low) <= float(high):
            yield f"Every {either['column'] or either['other'] or either['neither']} fulfils one of both: write AND."


def selected_names(sql: str) -> list[str]:
    """Return the names of a query's columns in lower case, if each of them has one that is written."""
    chosen = re.match(r"\s*SELECT\s+(?!DISTINCT\b)(.*?)(?:\bFROM\b.*)?\Z", sql, re.IGNORECASE | re.DOTALL)
    parts = re.split(r",(?![^()]*\))", re.sub(r"'(?:[^']|'')*'", "''", chosen[1])) if chosen else []
    names = [re.fullmatch(r".*?(?:\A|\s|\.)(\w+)", part.strip(), re.DOTALL) for part in parts]
    return [name[1].lower() for name in names if name] if all(names) else []


def _joined(sql: str) -> Iterator[str]:
    """Yield notes on LEFT JOIN whose rows without a match a condition leaves out."""
    for join in _LEFT_JOIN.finditer(sql):
        asked = _WHERE.search(sql, join.end())
        of_right = rf"\b{join['name']}\.(\w+)\s*(?:=|<>|!=|[<>]=?|\bI?LIKE\b|\bIN\b|\bBETWEEN\b)"
        kept = asked and re.search(r"\bOR\b|\bIS\b|\bcoalesce\b|\bifnull\b", asked["asked"], re.IGNORECASE)
        if asked and not kept and (column := re.search(of_right, asked["asked"], re.IGNORECASE)):
            yield (
                f"WHERE on {join['name']}.{column[1]} leaves out the rows without a match, which LEFT JOIN keeps: move"
                " it into ON."
            )


_CLASSES = (
    *("STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "GLACIER_IR", "DEEP_ARCHIVE"),
    *("REDUCED_REDUNDANCY", "EXPRESS_ONEZONE", "OUTPOSTS"),
)
_OF_CLASS = re.compile(r"\bstorage_class\s*(?:=|<>|!=|IN\s*\()\s*'([^']*)'", re.IGNORECASE)
_QUOTED_ETAG = re.compile(r"""\betag\s*(?:=|IN\s*\()\s*'"([^'"]*)"'""", re.IGNORECASE)
OBJECTS = re.compile(r"\bobjects\s*\(\s*'s3://(?:([\w-]+)@)?([^']*)'", re.IGNORECASE)
"""A location in a query of the listing: the connection's name or an empty text, and bucket with key."""


def of_sql(sql: str) -> Iterator[str]:
    """Yield cautions on a query."""
    yield from (*always_true(sql), *_joined(sql))
    for name, rest in OBJECTS.findall(sql):
        uri = f"s3://{name}{'@' * bool(name)}{rest}"
        if wild := WILD.search(uri):
            folder = uri[: uri.rfind("/", 0, wild.start()) + 1]
            glob = uri[len(folder) :]
            like = "%" + re.sub(r"\*+", "%", glob).replace("?", "_").lstrip("%") if "*" in glob else glob
            yield (
                f"objects() takes a location, no pattern: write objects({literal(visible(folder))}) WHERE key LIKE"
                f" {literal(visible(like))}."
            )
    for value in _OF_CLASS.findall(sql) if "objects" in sql or "inventory" in sql else ():
        meant = re.sub(r"[\s-]+", "_", value.strip()).upper()
        if value not in _CLASSES and (near := meant if meant in _CLASSES else nearest(meant, _CLASSES)):
            yield f"No storage_class is {literal(visible(value))}: write {literal(near)}."
    for etag in _QUOTED_ETAG.findall(sql):
        yield f"etag is without quotes: write {literal(visible(etag))}."
