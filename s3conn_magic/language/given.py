"""Convert the values of other systems' options to ours.

What is a secret stays one, a server and its scheme are one URL, and what has no counterpart is noted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

from s3conn_magic.language.option_names import (
    BOOLEANS,
    Synonym,
    Written,
    folded,
    option_meant,
    option_words,
    rank_of,
    synonym,
    within,
    without_quotes,
)
from s3conn_magic.language.options import OPTION_NAMES, Option, find_option
from s3conn_magic.language.reference import KEYWORDS
from s3conn_magic.language.source import ARN, BLANK, KEY_ID, harmless
from s3conn_magic.language.words import listed, literal, nearest, words_listed
from s3conn_magic.locations import location_meant, normal_location

if TYPE_CHECKING:
    from collections.abc import Iterator

URL = re.compile(
    r"(?P<scheme>https?://)?(?:(?P<key>[^:@]+):(?P<secret>.+)@)?(?P<host>[\w.-]+(?::\d+)?|\[[0-9a-f:]+\](?::\d+)?)(?P<path>(?:/.*)?)"
)
# A key pair in a location, perhaps with the server.
_WITH_KEYS = re.compile(r"s3[an]?://(?P<key>[^:@/]+):(?P<secret>[^@]+)@(?P<host>[\w.:-]+)/?(?P<path>.*)", re.IGNORECASE)
FIELD = re.compile(
    r"(?:f['\"])?\{\{?\s*(\w+)\s*\}?\}['\"]?|[$#]\{(\w+)\}|[:@&]{1,2}([A-Za-z_]\w*)|%\((\w+)\)s", re.ASCII
)
_SOURCE = re.compile(r"ENV\s*\(?\s*['\"]?(\w+)['\"]?\s*\)?", re.IGNORECASE)
_ENVIRONMENT = re.compile(
    r"(?i:['\"]?(?:f['\"])?\{{0,2}\s*(?:os\.)?(?:environ\s*\[|getenv\s*\(|environ\.get\s*\(|env_var\s*\(|ENV\s*\[)"
    r"\s*['\"](\w+)['\"].*)|\$\{?([A-Z]\w*)\}?|(?i:['\"]?(?:ENV\.|process\.env\.|\$\{?env:|\{\{\s*env\.)(\w+)[\s}]*['\"]?)|['\"]\$([A-Z]\w*)['\"]",
    re.DOTALL,
)
PYTHON = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
# Names of variables with a part of a key pair; any other bare word may be the secret itself.
_VARIABLE = re.compile(
    r"(?:[a-z0-9]{1,8}_){0,3}(?:secret|key|id|token|password|pwd)(?:_(?:id|key|access|token|value))*", re.IGNORECASE
)
_PLAIN_ID = re.compile(r"[A-Z0-9]{8,128}|[\w.-]{1,12}")
# A placeholder of a value, except in Python, where it is a name.
_STANDS_FOR = re.compile(r"(?:your|the|x{3,}|insert|enter|replace|some)_", re.IGNORECASE)
_ITEM = re.compile(r"\w+(?:\[['\"]\w+['\"]\])+")
# A key and its secret in one text, and a server instead of a bucket.
_BOTH = re.compile(r"(A[KS]IA[A-Z0-9]{8,}):(\S+)")
_SERVED = re.compile(r"s3[an]?://((?:[\w.-]+|<[\w-]+>):(?:\d+|<\w+>)|\d+(?:\.\d+){3})/?(.*)", re.IGNORECASE)
_HOST_OF = re.compile(r"(?<=//)\$?\{\w+\}\.")
_ON_SERVER = re.compile(r"s3:(?!//)((?:https?://)?[\w.-]+(?::\d+)?)/(.+)")
_API_PATH = re.compile(r"/?|(?:/.*)?/(?:s3|v\d+|api|storage)(?:/.*)?", re.IGNORECASE)
_LOCAL = re.compile(r"^(?:localhost|127\.|\[::1\]|minio|host\.docker)", re.IGNORECASE)


def is_local(host: str) -> bool:
    """Return whether a server is one that is usually run without TLS."""
    return _LOCAL.match(host) is not None


_HOSTED = re.compile(r"(?:https?://)?(?:[a-z][\w-]*(?:\.[\w-]+)+|localhost)(?::\d+)?/?")
_SHORT = 4
_PAIR = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_OF_REGION = re.compile(r"(?:aws-)?((?:us|eu|ap|sa|ca|me|af)(?:-gov)?-[a-z]+-\d)", re.IGNORECASE)
_SCHEMES = {"http://", "https://"}
_NAMED_OPTIONS = {"ENDPOINT", "AWS_ACCESS_KEY_ID"}
_NAMED = re.compile(r"[A-Za-z][A-Za-z_.-]{1,40}")
_OF_S3 = re.compile(r"(?<![A-Za-z0-9])s3[an]?(?![A-Za-z0-9])", re.IGNORECASE)


def environment_meant(text: str) -> str:
    """Return the environment variable that a text refers to in the syntax of templates or other languages."""
    match = _ENVIRONMENT.fullmatch(text)
    return (match[1] or match[3] or "") if match else ""


def _named_by_value(name: str, value: str) -> str:
    """Return an option's name, or that of the one which only its value tells: `--path on`, `location = us-east-1`."""
    if folded(name) == "PATH" and value in {*BOOLEANS, "auto"}:
        return "PATH_STYLE"
    return "REGION" if folded(name) == "LOCATION" and _OF_REGION.fullmatch(value) else name


@dataclass(slots=True)
class Given:
    """Options converted to ours: values as text of a statement, and the rest."""

    values: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    undone: list[str] = field(default_factory=list)
    others: dict[str, Written] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    lacks: dict[str, str] = field(default_factory=dict)
    python: bool = False
    tolerant: bool = False
    junk: bool = False
    completed: bool = False
    _scheme: str = ""
    _below: str = ""
    _rank: int = 0
    _ranks: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, value: Written) -> None:
        """Add an option of any system; one without a name is ignored."""
        name = _named_by_value(name, without_quotes(value).lower()) if isinstance(value, str) else name
        known = folded(name)
        if isinstance(value, str) and re.match(r"['\"]\s*(?:\{\s*\"|aws_\w+=)", value):
            for inner, said in within(value):
                if folded(inner) not in self.others:
                    self.add(inner, said)
            return
        # The key of an object, not of a key pair.
        of_object = known == "KEY" and "BUCKET" in self.others
        self.junk = self.junk or not name
        self.others[known] = value
        if (known == "S3" or (self.python and not name)) and _HOSTED.fullmatch(without_quotes(str(value))):
            self._set("ENDPOINT", value)
        if not name or of_object or known == "PORT" or without_quotes(str(value)).upper() in words_listed("says"):
            return
        identity = without_quotes(str(self.others.get("IDENTITY", ""))).upper()
        of_both = re.compile(r"([^:\s]+):(\S+)") if known == "SECRET" and identity == "S3 ACCESS KEY" else _BOTH
        if pair := of_both.fullmatch(without_quotes(str(value))):
            self._set("AWS_ACCESS_KEY_ID", literal(pair[1]))
            self._set("AWS_SECRET_ACCESS_KEY", literal(pair[2]))
            return
        self._rank = rank_of(known)
        entry = None if find_option(known) else synonym(name)
        if entry is None or not self._mapped(entry, name, value):
            self._plain(name, known, value)

    def _mapped(self, entry: Synonym, name: str, value: Written) -> bool:
        """Add an option with differing values; return whether this value is one."""
        bare = without_quotes(value).lower() if isinstance(value, str) else ""
        truth = str(BOOLEANS.get(bare, bare)).lower()
        mapped = entry.values.get(bare, entry.values.get(truth, entry.values.get("*")))
        if mapped == "!" or (mapped is None and _SCHEMES & set(entry.values.values())):
            self._leave_out(name)
            self.lacks[folded(name)] = entry.difference
            return True
        if mapped in _SCHEMES:
            self._scheme = mapped
            self.left_out[folded(name)] = f"it is part of `ENDPOINT = '{mapped}host'`"
        elif mapped is not None:
            self._set(entry.ours, said if (said := mapped.replace("{}", bare)) in {"TRUE", "FALSE"} else literal(said))
        elif entry.values and entry.difference and entry.ours == "ANONYMOUS" and bare not in BOOLEANS:
            self.left_out[folded(name)] = entry.difference
            return True
        elif entry.theirs == "TYPE" and self.tolerant and "sse" not in bare:
            self.left_out["TYPE"] = entry.difference
        return mapped is not None or entry.theirs == "TYPE"

    def _plain(self, name: str, known: str, value: Written) -> None:
        entry = synonym(name)
        if self._is_below(known, entry, value):
            self._below = self._below or without_quotes(str(value))
        elif option := option_meant(name):
            self._set(option.name, value)
        elif self.tolerant and (near := nearest(known, OPTION_NAMES)):
            self._set(near, value)
        elif entry and known not in words_listed("options"):
            self._set(entry.ours, value)
            if not entry.ours and (self.tolerant or entry.whose):
                self.left_out[known] = entry.difference
            elif not entry.ours:
                self._leave_out(name)
        elif known not in words_listed("options") | words_listed("delimiters"):
            self._leave_out(name)
        elif self.tolerant and entry and known in words_listed("connections"):
            self.left_out[known] = entry.difference

    @staticmethod
    def _is_below(known: str, entry: Synonym | None, value: Written) -> bool:
        """Return whether an option is a path in a bucket, without the bucket."""
        filters = entry is not None and entry.ours == "PATH_DISPLAY_FILTERS"
        named = {"bucket", "buckets", "bucketname", "bucketnames", "container", "for", "filters"} & set(
            option_words(known)
        )
        plain = without_quotes(value) if isinstance(value, str) else "://"
        return (
            filters and not named and "://" not in plain and plain[:3] != "s3:" and not re.match(r"[$:{]|ENV\b", plain)
        )

    def _leave_out(self, name: str) -> None:
        """Note an option without counterpart: its name, if that cannot be a secret."""
        words = _OF_S3.sub("s", name.strip("'\"`-"))
        self.undone.append(folded(name) if _NAMED.fullmatch(words) and harmless(words) else BLANK)

    def _set(self, name: str, value: Written) -> None:
        if name == "AWS_ACCESS_KEY_ID" and ARN.fullmatch(without_quotes(str(value))):
            name = "AWS_ROLE"
        of_kms = name == "ENCRYPTION_CUSTOMER_MANAGED_KEY" and re.search(r"arn:aws[\w-]*:kms:|alias/", str(value))
        option = find_option("ENCRYPTION_KMS_KEY" if of_kms else name)
        if not name or option is None:
            return
        written = value if isinstance(value, list) else [value]
        texts = [self._text(option, each) for each in written if each]
        if texts := [text for text in texts if text]:
            shown = f"({', '.join(texts)})" if len(texts) > 1 else texts[0]
            self.junk = self.junk or (self.tolerant and self.values.get(option.name, shown) != shown)
            if self._rank > self._ranks.get(option.name, -1):
                self.values[option.name], self._ranks[option.name] = shown, self._rank

    def _text(self, option: Option, written: str) -> str:
        """Return a value in our syntax; empty for one without meaning."""
        bare = without_quotes(written)
        bare = bare[1:-1] if re.fullmatch(r"<\w+://[^<>]*>", bare) else bare
        if source := self._source(written):
            return source if harmless(source) or not option.secret else f"PROMPT '{option.name}'"
        if re.search("[ /]", bare) and option.name == "AWS_ACCESS_KEY_ID" and not self.tolerant:
            return ""
        if (item := _ITEM.fullmatch(written)) or bare in {"?", "%s"}:
            self.junk = True
            return f"PROMPT '{option.name}'" if item else f"'{BLANK}'"
        if bare in {"", "*", "None", "NULL", "null"} or (bare == written and written.startswith("$")):
            return written if written.startswith("$") else ""
        if option.takes == "TRUE or FALSE":
            truth = True if bare.upper() == "UNSIGNED" else BOOLEANS.get(bare.lower())
            self.junk = self.junk or truth is None
            return str(bool(truth)).upper()
        return self._checked(option, bare, written)

    def _source(self, written: str) -> str:
        """Return an external source of a value in our syntax."""
        if match := _ENVIRONMENT.fullmatch(written):
            variable = match[1] or match[3] or match[4] or (match[2] if self.python or "{" in written else "")
            return f"ENV '{variable}'" if variable else f"${match[2]}"
        if match := re.fullmatch(r"['\"]\$?\{\{?\s*(\w+)\s*\}?\}['\"]", written):
            return f"${match[1]}"
        if match := _SOURCE.fullmatch(written):
            return f"ENV '{match[1]}'"
        if match := FIELD.fullmatch(written):
            return f"${match[match.lastindex or 1]}"
        if re.match(r"(?:PROMPT|KEYRING)\b", written, re.IGNORECASE):
            return re.sub(r"(?<=')\s*,\s*(?=')", " ", written)
        of_python = self.python and PYTHON.fullmatch(written) and written.lower() not in {*BOOLEANS, "none", "unsigned"}
        return f"${written.rpartition('.')[2]}" if of_python else ""

    def _checked(self, option: Option, bare: str, written: str) -> str:
        if option.name == "PATH_DISPLAY_FILTERS" and not (bare := self._displayed(bare)):
            return ""
        if option.name == "ENDPOINT" and not (bare := self._without_keys(bare)):
            return ""
        if option.name == "REGION":
            bare = "eu-west-1" if bare == "EU" else region[1] if (region := _OF_REGION.fullmatch(bare)) else bare
        if option.name == "ADDRESSING_STYLE":
            bare = "path" if "path" in bare.lower() else re.sub("vhost|virtual.*", "virtual", bare.lower())
        of_server = option.name == "ENDPOINT" and bare.isidentifier() and not is_local(bare)
        named = written == bare and (of_server or _VARIABLE.fullmatch(bare))
        if (self.python or not _STANDS_FOR.match(bare)) and named and (option.name in _NAMED_OPTIONS or option.secret):
            return f"${bare}"
        if option.secret or (option.name == "AWS_ACCESS_KEY_ID" and not _PLAIN_ID.fullmatch(bare)):
            prompt = f"PROMPT '{option.name}'"
            self.secrets[prompt] = literal(bare)
            return prompt
        plain = "http" if bare.endswith(":80") else "https"
        try:
            option.read(bare if option.name != "ENDPOINT" or "://" in bare else f"{plain}://{bare}")
        except ValueError:
            named = written == bare and bare.isidentifier()
            shown = (bare.startswith("s3://") and BLANK in bare) or bare.startswith("arn:aws:iam::")
            return f"${bare}" if named else literal(bare if shown and harmless(bare) else BLANK)
        return literal(bare)

    def _displayed(self, bare: str) -> str:
        """Return a location to display; a server alone is the endpoint."""
        bare, _, asked = bare.partition("?") if "://" in bare and "=" in bare.partition("?")[2] else (bare, "", "")
        served = _SERVED.fullmatch(bare)
        of_server = re.fullmatch(r"https?://[\w.-]+(?::\d+)?/?", bare) and not location_meant(bare)
        server = served[1] if served and not served[2] else bare if of_server else ""
        for host in filter(None, [server, *re.findall("s3_endpoint=([^&]+)", asked)]):
            self._set("ENDPOINT", literal(host))
        if server or bare.isdecimal() or bare.lower() in BOOLEANS:
            return ""
        bare = f"https://{bare}/" if re.fullmatch(r"[\w.-]+\.amazonaws\.com", bare) else bare
        return self.on_server(bare) or (location_meant(bare) if "://" in bare else "") or normal_location(bare)

    def on_server(self, url: str) -> str:
        """Return the location in a server's URL, and make the server the endpoint; otherwise empty."""
        if keys := _WITH_KEYS.fullmatch(url):
            self._set("AWS_ACCESS_KEY_ID", literal(unquote(keys["key"])))
            self._set("AWS_SECRET_ACCESS_KEY", literal(unquote(keys["secret"])))
            if hosted := re.fullmatch(r"([\w.-]+?)\.s3[.-][\w.-]*amazonaws\.com", keys["host"]):
                return normal_location(f"s3://{hosted[1]}/{keys['path']}")
            on_aws = keys["host"].partition(":")[0].endswith("amazonaws.com")
            of_server = on_aws or ":" in keys["host"]
            if of_server and not on_aws:
                self._set("ENDPOINT", literal(keys["host"]))
            return normal_location(f"s3://{'' if of_server else keys['host'] + '/'}{keys['path']}")
        if served := _SERVED.fullmatch(url) or _ON_SERVER.fullmatch(url):
            if "amazonaws.com" not in served[1]:
                self._set("ENDPOINT", literal(served[1]))
            return normal_location(f"s3://{served[2]}") if served[2] else ""
        match = URL.fullmatch(url)
        if not match or not match["scheme"] or location_meant(url) or not (path := match["path"].strip("/")):
            return ""
        self._set("ENDPOINT", literal(f"{match['scheme']}{match['host']}"))
        return f"s3://{path}{'/' * url.endswith('/') or '/' * ('/' not in path)}"

    def _without_keys(self, url: str) -> str:
        """Return an endpoint without the key pair and bucket in it; the pair becomes options."""
        match = URL.fullmatch(url := _HOST_OF.sub("", url))
        if match and match["key"]:
            self._set("AWS_ACCESS_KEY_ID", literal(match["key"]))
            self._set("AWS_SECRET_ACCESS_KEY", literal(match["secret"]))
        if match and harmless(match["path"]) and not _API_PATH.fullmatch(match["path"]):
            on_aws = location_meant(url)
            self._set("PATH_DISPLAY_FILTERS", literal(on_aws or f"s3:/{match['path']}"))
            if on_aws:
                return ""
        elif match and len(match["path"]) > 1 and harmless(match["path"]):
            self.undone.append(match["path"])
        return f"{match['scheme'] or ''}{match['host']}" if match else url

    def reasons(self) -> Iterator[str]:
        """Yield why options are not needed, grouped by reason."""
        reasons: dict[str, list[str]] = {}
        for name, reason in self.left_out.items():
            if harmless(name):
                reasons.setdefault(reason.partition(";")[0], []).append(name)
        for reason, names in reasons.items():
            yield f"{listed(names, 'and')} {'is' if len(names) == 1 else 'are'} left out: {reason}."

    def is_unsure(self) -> bool:
        """Return whether a part of a nearly valid statement may be something other than a foreign option."""
        words = ("EXISTS", "REPLACE", "CONNECTION")
        odd = any(len(name) < _SHORT or name in KEYWORDS or nearest(name, words) for name in self.undone)
        own = any(name in words_listed("own") for name in self.left_out)
        return self.junk or odd or own or bool(self.undone and not self.values)

    def revealed(self, text: str) -> str:
        """Return a statement with secrets instead of prompts for them."""
        for prompt, secret in self.secrets.items():
            text = text.replace(prompt, secret)
        return text

    def finish(self) -> None:
        """Complete the key pair and the endpoint's URL, and note what is part of neither."""
        key, secret = self.values.get("AWS_ACCESS_KEY_ID", ""), self.secrets.get("PROMPT 'AWS_SECRET_ACCESS_KEY'", "")
        if KEY_ID.fullmatch(secret.strip("'")) and not KEY_ID.fullmatch(key.strip("'")):
            self.values["AWS_ACCESS_KEY_ID"] = secret
            self.secrets["PROMPT 'AWS_SECRET_ACCESS_KEY'"] = self.secrets.pop("PROMPT 'AWS_ACCESS_KEY_ID'", key)
        if "AWS_SESSION_TOKEN" in self.values and not self.values.keys() & {*_PAIR, "AWS_PROFILE"}:
            self.values[_PAIR[0]] = f"PROMPT '{_PAIR[0]}'"
        for here, other in (_PAIR, _PAIR[::-1]):
            if here in self.values and other not in self.values and "AWS_PROFILE" not in self.values:
                self.values[other] = f"PROMPT '{other}'"
                self.completed = True
        self._finish_places()

    def _finish_places(self) -> None:
        host = self.values.get("ENDPOINT")
        if host and not (self._scheme and "://" in host and not host.startswith(f"'{self._scheme}")):
            self.left_out = {name: why for name, why in self.left_out.items() if "`ENDPOINT =" not in why}
        filters = self.values.get("PATH_DISPLAY_FILTERS", "")
        if self._below and re.fullmatch(r"'s3://[^/']+/'", filters):
            self.values["PATH_DISPLAY_FILTERS"] = f"{filters[:-1]}{self._below.lstrip('/')}'"
        apart = "HOST" in self.others and any("ENDPOINT" in name for name in self.others)
        port = None if apart else self.others.get("PORT")
        if self.tolerant and self._below and not filters:
            self.left_out["a path alone"] = "a location begins with its bucket, as in `'s3://bucket/folder/'`"
        if self.tolerant and port and not host:
            self.left_out["PORT"] = "it is part of `ENDPOINT = 'http://host:9000'`"
        if host and isinstance(port, str) and not re.search(r":\d+'$", host):
            host = self.values["ENDPOINT"] = f"{host[:-1]}:{without_quotes(port)}'"
        if host and host.startswith("'") and "://" not in host:
            scheme = self._scheme or ("http://" if is_local(host[1:]) else "https://")
            self.values["ENDPOINT"] = f"'{scheme}{host[1:]}"
