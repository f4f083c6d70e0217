"""Translate one statement of another system by the phrase book."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from s3conn_magic.language import readings
from s3conn_magic.language.given import FIELD, Given
from s3conn_magic.language.option_names import (
    SURE,
    Written,
    folded,
    given_in,
    is_telling,
    name_meant,
    rank_of,
    without_quotes,
)
from s3conn_magic.language.options import OPTIONS
from s3conn_magic.language.phrases import (
    FORMATS,
    OPTIONAL,
    Answer,
    Phrase,
    as_read,
    as_table,
    asked_of,
    columns_of,
    depth_of,
    fitting,
    glob_of,
    in_time,
    job_of,
    limit_of,
    load_of,
    matching,
    named_only,
    picked,
    read_as,
    settings_in,
    unknown,
    unknown_note,
    where,
    without_counterpart,
    written_as,
)
from s3conn_magic.language.reference import KEYWORDS
from s3conn_magic.language.source import (
    BLANK,
    COMMENT,
    KEY_ID,
    MOST,
    QUOTED,
    Span,
    harmless,
    head_of,
    masked,
    spaced,
)
from s3conn_magic.language.words import identifier, literal, plainly, words_listed
from s3conn_magic.locations import below, folder_of, location_meant, normal_location, through
from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


_STAGE = re.compile(r"(?:\"([^\"]+)\"|([^/\"]+))/?(.*)")
# A space within is kept only if the slot is filled.
_SLOT = re.compile(r"\{( ?)(\w+)\}")
_AS_WRITTEN = {"listed_": "listed"}
_OF_CALLS = {"picked": picked, "where": where}
_AS_OPTIONS = {"endpoint": "ENDPOINT", "access": "AWS_ACCESS_KEY_ID", "secret": "SECRET", "profiled": "AWS_PROFILE"}
# Settings in calls of a builder, and in the query of a URL.
_CALLED = re.compile(r"\.config\(\s*(['\"][\w.-]+['\"])\s*,\s*([^()]+?)\s*\)")
_ASKED = re.compile(r"[?&;](\w+)=([^&;'\"]*)")
_PLACED = re.compile(
    r"(?<!\w)(?:\w+_(?=LOC))?(?:LOCATION|PATH|URL)['\"]?\s*=?\s*\(?\s*('[^']*'|\"[^\"]*\"|`[^`]*`)", re.IGNORECASE
)
_BEHIND = re.compile(
    r"\s*(USING\s+\w+)?\s*(?:(?:TBLPROPERTIES|PARTITIONED|STORED|ROW|WITH|COMMENT|AS|OPTIONS|FILE_FORMAT|AUTO_REFRESH|[,)])"
    r".*)?",
    re.IGNORECASE | re.DOTALL,
)
# Clauses of columns in other systems only.
_COMMENTED = re.compile(rf"\s+COMMENT\s+(?:{QUOTED})", re.IGNORECASE)
_SAYS_COMMENT = re.compile(rf"\bCOMMENT\b['\"]?\s*(?:=>?|:)?\s*({QUOTED})", re.IGNORECASE)
_OF_ICEBERG = re.compile(r"table_type['\"]?\s*=\s*['\"]iceberg", re.IGNORECASE)
_PARTED = re.compile(r"PARTITIONED\s+BY\s*\(([^()]*(?:\([^()]*\)[^()]*)*)\)", re.IGNORECASE)
_PARTS = re.compile(r"partition(?:ed)?_?\s*(?:by|cols|columns)\b", re.IGNORECASE)
_BEFORE_QUERY = re.compile(r"(?<!STORED)\s+AS\b|\AAS\b", re.IGNORECASE)
_MADE_BY = re.compile(r"\bAS\s+((?:SELECT|WITH|FROM|\(\s*SELECT)\b.*)", re.IGNORECASE | re.DOTALL)


class Rewriting:
    """A statement of another system, and the values of its slots."""

    def __init__(
        self,
        phrase: Phrase,
        slots: Mapping[str, str | None],
        flags: Iterable[tuple[str, Written]],
        connections: Sequence[str],
        *,
        text: str = "",
    ) -> None:
        self._phrase = phrase
        self._slots = {name: text.strip() for name, text in slots.items() if text is not None}
        self._connections = connections
        self._slots |= {"remote": self._slots["root"]} if "root" in self._slots else {}
        if "section" in self._slots:
            self._slots["name"] = self._slots["section"].strip("[] ").removeprefix("profile ")
        self._given = Given(python=phrase.whose == "Python's", tolerant=not phrase.whose)
        for option, written in (*flags, *self._written()):
            self._given.add(option, written)
        least = (
            0 if "options}" in phrase.ours and not self._given.values else SURE if "{connect}" in phrase.ours else 99
        )
        for option, written in readings.pairs_in(text) if phrase.whose and phrase.theirs else ():
            if is_telling(option) and rank_of(folded(option)) >= least:
                self._given.add(option, written)
        if "{connect}" in phrase.ours and (
            there := self._given.on_server(without_quotes(self._slots.get("place", "")))
        ):
            self._slots["place"] = literal(there)
        self._whole = text
        if " S3 {via}" in phrase.ours or re.search(r"\{(?:limit|matching)\}", phrase.ours):
            self._given.others = {folded(name): value for name, value in readings.pairs_in(text)} | self._given.others
        if "AS COPY FROM S3" in phrase.ours and readings.together(text)[0]:
            self._slots["place"], self._given.others["PATTERN"] = readings.together(text)
        said = _SAYS_COMMENT.search(text) if "S3 CONNECTION" in phrase.ours and "{options}" in phrase.ours else None
        if said and phrase.whose and "COMMENT" not in self._given.values and self._given.values:
            self._given.add("COMMENT", said[1])
        self._is_parted = _PARTS.search(text) is not None
        self._given.finish()

    def _written(self) -> Iterator[tuple[str, Written]]:
        """Yield the options anywhere in the statement."""
        for name in ("options", "options_2", "dictionary", "nameless"):
            yield from given_in(self._slots.get(name, ""))
        yield from ((without_quotes(name), value) for name, value in _CALLED.findall(self._slots.get("built", "")))
        yield from ((name, literal(unquote(value))) for name, value in _ASKED.findall(self._slots.get("place", "")))
        ours, place = self._phrase.ours, self._slots.get("place", "")
        if re.match(r"CREATE.*\{options\}", ours) and "{place}" not in ours and place and not KEY_ID.search(place):
            yield "URL", literal(without_quotes(place).partition("?")[0])
        yield from (pair for pair in readings.pairs_in(self._slots.get("clauses", "")) if is_telling(pair[0]))
        yield from readings.remote_options(self._slots.get("remote", ""))
        yield from ((option, self._slots[slot]) for slot, option in _AS_OPTIONS.items() if slot in self._slots)

    def answer(self, head: Span, span: Span, *, lines: bool) -> Answer | None:
        """Return the translation; `lines` if it has several."""
        phrase = self._phrase
        if not phrase.ours:
            note = phrase.difference
            said = note.replace("Delete this line.", "Delete this statement.") if lines else note
            return Answer(phrase.whose, head, span, "", said)
        said = _SLOT.sub(lambda match: (text := self._slot(match[2])) and match[1] + text, phrase.ours)
        why = [*self._given.reasons()]
        to_none = said == "CREATE S3 CONNECTION my_s3;"
        reason = " ".join(why) or without_counterpart(self._given.undone, self._given.lacks)
        if reason and ((said.endswith(" SET;") and phrase.whose) or (to_none and "<setting>" in phrase.theirs)):
            return Answer(phrase.whose, head, span, "", reason)
        empty = to_none and phrase.whose in {"Spark's", "a shell's", "another system's"}
        if (
            empty
            or "; ;" in said
            or not said.strip("; ")
            or said.endswith(" SET;")
            or (self._given.tolerant and self._given.is_unsure())
        ):
            return None
        said = asked_of(in_time(re.sub(r"\s+(?=;)|(?<=\s)\s+", "", said)), self._given)
        undone = [name for name in self._given.undone if not self._is_place(name)]
        note = without_counterpart(undone, self._given.lacks)
        if self._is_narrowed(said):
            note = f"{note} All files below the location are read, not those of the pattern alone.".lstrip()
        bare = re.fullmatch(r"CREATE [A-Z0-9 ]*CONNECTION (?:IF NOT EXISTS )?\S+;", said)
        note = note or (" ".join(why) if bare else "") if phrase.whose else note or phrase.difference or " ".join(why)
        if phrase.whose and (unnamed := named_only(self._given.others, phrase.theirs, said)):
            note = f"{note} {unnamed}".lstrip()
        remote = self._slots.get("remote", "").startswith((":", '":'))
        staged = self._stage_parts[0] if self._slots.keys() & {"stage", "remote", "path"} and not remote else ""
        if phrase.whose and not self._connects and (other := unknown(staged, self._given.others, self._connections)):
            note = f"{unknown_note(other, self._via, said)} {note}".strip()
        if phrase.difference.startswith("+ "):
            note = f"{phrase.difference[2:]} {note}".rstrip()
        whole = not (self._given.undone or self._given.junk or self._given.completed or BLANK in said)
        return Answer(
            phrase.whose, head, span, masked(said), note, Secret(self._given.revealed(said)) if whole else None
        )

    def _is_place(self, name: str) -> bool:
        """Return whether an option, or its value, is part of the location in question."""
        value = self._given.others.get(name)
        written = without_quotes(value) if isinstance(value, str) else ""
        if "s3://" in str(value).lower() or "place" not in self._slots:
            return "s3://" in str(value).lower()
        there, part = self._location.casefold().rstrip("/"), written.strip("/").casefold()
        is_part = part != "" and f"/{part}" in there
        return location_meant(written) == self._location or is_part or there.startswith(f"s3://{name.casefold()}/")

    def _is_narrowed(self, said: str) -> bool:
        """Return whether a pattern narrows a table over files."""
        patterns = {"GLOB", "PATTERN", "FILE_PATTERN", "MATCH_PATTERN", "KEY_FILTER"} & self._given.others.keys()
        wild = "place" in self._slots and self._listed[1].strip("*./")
        return bool(
            re.search(r"TABLE [^;]* LOCATION '", said) and (patterns or (wild and "*." not in self._listed[1][:2]))
        )

    @property
    def _unset(self) -> str:
        names = [name for name in re.split(r"[\s,]+", self._slots["names"]) if name]
        self._given.undone += [name.upper() if harmless(name) else BLANK for name in names if not name_meant(name)]
        return ", ".join(meant for name in names if (meant := name_meant(name)))

    def _slot(self, name: str) -> str:
        if name in OPTIONAL:
            said = any(slot.startswith(name) for slot in self._slots)
            return f" {name.upper().replace('_', ' ')}" if said else ""
        if name in _OF_CALLS and name not in self._slots:
            return _OF_CALLS[name](self._whole)
        if name in {"words", "place"} - self._slots.keys():
            return "*" if name == "words" else ""
        return str(getattr(self, f"_{name}", self._slots.get(_AS_WRITTEN.get(name, name), "")))

    def _named(self, slot: str, otherwise: str = "") -> str:
        plain = without_quotes(self._slots.get(slot, "")) or otherwise
        plain = plain.rpartition(".")[2] if re.fullmatch(r"\w+(?:\.\w+)+", self._slots.get(slot, "")) else plain
        secret = literal(plain) in self._given.secrets.values()
        plain = plain if harmless(plain) and not secret else otherwise
        return identifier(plain) if self._phrase.whose and plain.upper() in KEYWORDS else plainly(plain)

    @property
    def _name(self) -> str:
        if named := self._slots.get("named") or self._slots.get("lone"):
            plain = without_quotes(named)
            known = re.fullmatch(r"[A-Za-z_]\w*", plain) and not named.startswith('"')
            return plain if known else identifier(plain)
        profile = self._given.values.get("AWS_PROFILE", "").strip("'")
        taken = {name.casefold() for name in self._connections}
        fresh = profile if re.fullmatch(r"[A-Za-z_]\w*", profile) and profile not in self._connections else ""
        names = (name for number in range(1, 99) if (name := f"my_s3{number if number > 1 else ''}") not in taken)
        own = without_quotes(str(self._given.others.get("NAME", "")))
        return self._named("name", (re.fullmatch(r"[A-Za-z_][\w-]*", own) and own) or fresh or next(names))

    @property
    def _drops(self) -> str:
        names = re.findall(r'"[^"]+"|[^\s,]+', self._slots.get("drops", "")) or [*map(plainly, self._connections)]
        return "; ".join(f"DROP CONNECTION {name}" for name in names)

    @property
    def _other(self) -> str:
        return self._named("other", "other")

    @property
    def _table(self) -> str:
        named = without_quotes(str(self._given.others.get("TABLE_NAME", "my_table")))
        return as_table(self._slots.get("table", named))

    @property
    def _options(self) -> str:
        given = self._given.values
        # Of both, the pair counts, as in the AWS CLI.
        less = {"AWS_PROFILE"} & given.keys() if "AWS_ACCESS_KEY_ID" in given else set()
        return "".join(f" {each.name} = {given[each.name]}" for each in OPTIONS if each.name in given.keys() - less)

    @property
    def _columns_at(self) -> str:
        return columns_of(self._slots.get("words", "*"))

    @property
    def _profiled_options(self) -> str:
        return self._options or " AWS_PROFILE = 'default'"

    @property
    def _comment(self) -> str:
        return f" COMMENT = {literal(without_quotes(self._slots['text']))}" if "text" in self._slots else ""

    @property
    def _text(self) -> str:
        return literal(without_quotes(self._slots.get("text", "")))

    @property
    def _like(self) -> str:
        glued = self._slots.get("glued", "").split()[1:]
        pattern = glued[0] if glued else without_quotes(self._slots.get("text", ""))
        return f" LIKE {literal(pattern.replace('*', '%'))}" if pattern else ""

    @property
    def _unquoted(self) -> str:
        return self._said(without_quotes(self._slots.get("text", "")).rstrip("; \n"))

    @property
    def _query(self) -> str:
        query = self._slots["query"]
        return self._said(query[1:-1] if query.startswith("(") and query.endswith(")") else query)

    @property
    def _rows(self) -> str:
        if spoken := self._slots.get("spoken"):
            spoken = spoken if spoken.startswith(("'", "$")) else f"'{spoken}'"
            return self._said(without_quotes(spoken).strip("; \n"))
        return self._query if "query" in self._slots else f"SELECT * FROM {self._table}"  # noqa: S608

    @property
    def _asked(self) -> str:
        named = self._connects or any(name in words_listed("connections") for name in self._given.others)
        through = f"'s3://{self._via}@" if named else "'s3://"
        asked = self._sql(self._slots["asked"]).replace("'s3://", through)
        return re.sub(r"(?<!\()'s3://[^']*'", lambda match: as_read(match[0], self._given.others), asked)

    @property
    def _ours(self) -> str:
        return self._said(self._slots["ours"])

    def _said(self, text: str) -> str:
        """Return a nested statement, translated if it is foreign too."""
        made = phrased(text, Span(0, len(text)), self._connections)
        self._given.junk = self._given.junk or bool(made and made.ours and made.whole is None)
        if made is None or not made.ours:
            return self._sql(text)
        if made.whole and "PROMPT '" in made.ours and BLANK not in made.ours:
            self._given.secrets[made.ours.rstrip("; ")] = made.whole.reveal().rstrip("; ")
            return made.ours.rstrip("; ")
        return (made.whole.reveal() if made.whole else made.ours).rstrip("; ")

    @property
    def _tail(self) -> str:
        return f" {self._sql(rest)}" if (rest := self._slots.get("tail")) else ""

    @staticmethod
    def _sql(text: str) -> str:
        text = re.sub(r"(?i)OBJECT_CONSTRUCT\(\s*\*\s*\)", "*", text)
        return re.sub(r"(?i)(?<=['\"])s3[an]://", "s3://", text.strip())

    # Places

    @property
    def _location(self) -> str:
        written = without_quotes(self._slots["place"])
        written = written.partition("?")[0] if _ASKED.search(written) else written
        return (location_meant(written) if "://" in written else "") or normal_location(written)

    @property
    def _listed(self) -> tuple[str, str]:
        return readings.glob_apart(self._location)

    @property
    def _place(self) -> str:
        if re.match(r"\{connect\}LIST|LIST", self._phrase.ours):
            return literal(self._listed[0])
        if "FROM {place}" not in self._phrase.ours:
            return literal(self._listed[0] if "LOCATION = {place}" in self._phrase.ours else self._location)
        location = self._location + ("" if self._location.endswith(BLANK) else below(self._location))
        return as_read(literal(through(location, self._name) if self._connects else location), self._given.others)

    @property
    def _folder(self) -> str:
        location, pattern = self._listed
        of_table = re.search(r"TABLE|\{table_of\}", self._phrase.ours)
        object_alone = of_table and not pattern and re.search(r"\.\w+\Z", location)
        folder = location if object_alone else folder_of(location)
        named = self._connects and "FROM {folder}" in self._phrase.ours
        return literal(through(folder, self._name) if named else folder)

    @property
    def _path(self) -> str:
        """Return the location given as an option."""
        self._slots["place"] = readings.path_in(self._given.others)
        location = self._location + below(self._location)
        return literal(through(location, self._name) if self._connects else location)

    @property
    def _path_folder(self) -> str:
        return self._path and self._folder

    @property
    def _bag_place(self) -> str:
        return literal(normal_location(without_quotes(self._slots["bag"])))

    @property
    def _bucket_place(self) -> str:
        return readings.place_in_bucket(self._given.others, cli=self._phrase.cli)

    @property
    def _matching(self) -> str:
        glob = self._listed[1] if "place" in self._slots else ""
        self._given.undone = [name for name in self._given.undone if name != "INCLUDE"]
        text = self._slots.get("text", "")
        text = re.sub(r"\A'%(?=[^/%]+\Z)", "'**/%", text) if "recursive" in self._slots else text
        return matching(self._given.others, glob, text)

    @property
    def _recursive(self) -> str:
        asked = "recursive" in self._slots or {"RECURSIVE", "R", "LR"} & self._given.others.keys()
        deep = asked or ("place" in self._slots and "/" in self._listed[1])
        return f"{' RECURSIVE' if deep else ''}{self._versions}"

    @property
    def _versions(self) -> str:
        return " VERSIONS" if "VERSIONS" in self._given.others else ""

    @property
    def _depth(self) -> str:
        return depth_of(self._given.others, self._given.undone)

    @property
    def _limit(self) -> str:
        limit = limit_of(self._given.others, self._slots.get("n"))
        self._given.junk = self._given.junk or limit is None
        return limit or ""

    # Stages and remotes: a connection and a path

    @property
    def _stage_parts(self) -> tuple[str, str]:
        if remote := self._slots.get("remote") or self._slots.get("path"):
            return readings.remote_parts(remote)
        match = _STAGE.fullmatch(without_quotes(self._slots.get("stage", "")).lstrip("@"))
        return ((match[1] or match[2]).rpartition(".")[2], match[3]) if match else (BLANK, "")

    @property
    def _known_stage(self) -> str:
        """Return the connection of a stage or a remote: that of its name, else the default."""
        name = self._stage_parts[0]
        known = {other.casefold() for other in self._connections}
        return name if not known or name.casefold() in known else next(iter(self._connections))

    @property
    def _at(self) -> str:
        name, path = self._stage_parts
        named = "stage" in self._slots or "remote" in self._slots
        return f" {self._at_place}" if path or (named and self._known_stage != name) else ""

    @property
    def _at_other(self) -> str:
        """Return the second of two remotes."""
        return literal(f"s3://{re.split('[:/]', self._slots['remote_2'], maxsplit=1)[1].strip('/')}/")

    @property
    def _at_place(self) -> str:
        path = self._stage_parts[1]
        return literal(f"s3://{BLANK}/{path}" if "stage" in self._slots else f"s3://{path}/")

    @property
    def _at_object(self) -> str:
        return literal(f"s3://{self._stage_parts[1]}")

    @property
    def _at_path(self) -> str:
        name, path = self._known_stage, self._stage_parts[1]
        location = f"s3://{name}@{BLANK}/{path}"
        kept = glob_of(self._given.others.get("PATTERN"))
        return literal(location + (kept if kept and location.endswith("/") else below(location)))

    @property
    def _column_list(self) -> str:
        return f" ({self._slots['columns'].strip()})" if "columns" in self._slots else ""

    # Tables

    @property
    def _described(self) -> str:
        known = self._name.casefold() in {name.casefold() for name in self._connections}
        # It is displayed, and never run by itself.
        of_table = f"SELECT * FROM (DESCRIBE {self._slots['lone']})"  # noqa: S608
        return f"DESCRIBE CONNECTION {self._name}" if known else of_table

    @property
    def _table_of(self) -> str:
        """Return the source of a table: files at a location, a query, or columns; for both, a job that writes them."""
        clauses, columns = self._slots.get("clauses", ""), self._slots.get("columns", "")
        query = _MADE_BY.search(clauses)  # its sources and function arguments are not the table's location
        place = _PLACED.search(clauses, 0, query.start() if query else len(clauses))
        made = f"TABLE{self._slot('if_not_exists')} {self._table}"
        if re.search(r"\btype['\"]?\s*=\s*'sink'|\bS3\s*\(|\bremotesource\b", clauses, re.IGNORECASE):
            return ""
        lost = bool(_BEFORE_QUERY.search(clauses)) or (place is None and ("://" in clauses or bool(self._given.values)))
        lost = bool(lost or (place and "://" not in place[1] and "bucket" in clauses.lower()))
        if (query is None and lost) or clauses.count("(") != clauses.count(")"):
            return ""
        if place is None:
            given = f" ({_COMMENTED.sub('', columns).strip()})" if columns else ""
            what = f" AS {self._said(query[1])}" if query else given
            self._given.undone += ["PARTITIONED BY"] * (query is not None and _PARTED.search(clauses) is not None)
            self._given.junk = self._given.junk or not what
            return f"CREATE{self._slot('or_replace')} {made}{what}"
        self._slots["place"] = place[1]
        behind = _BEHIND.fullmatch(clauses, place.end())
        if behind is None:
            return ""
        if columns and _OF_ICEBERG.search(clauses):
            parts = f" PARTITIONED BY {match[1].strip()}" if (match := _PARTED.search(clauses)) else ""
            keeps = f"STORAGE_CONNECTION = {self._via} STORAGE_LOCATION = {self._folder}"
            return f"CREATE ICEBERG {made} ({_COMMENTED.sub('', columns).strip()}){parts} {keeps}"
        using = f" {behind[1]}" if behind[1] else self._using
        over = f"CREATE{self._slot('or_replace')} {made} LOCATION {self._folder}{using}"
        self._slots["writes"] = next(iter(sorted(FORMATS & set(re.findall(r"\w+", clauses.upper())))), "PARQUET")
        writes = f"CREATE JOB write_{self._load.removeprefix('load_')} AS INSERT INTO S3 {self._via}"
        return f"{writes} LOCATION = {self._folder}{self._format} {self._said(query[1])}; {over}" if query else over

    # Connections and jobs

    @property
    def _via(self) -> str:
        if self._slots.keys() & {"stage", "remote", "path"} and not self._connects:
            return plainly(self._known_stage)
        if self._connects:
            return self._name
        named = (value for name, value in self._given.others.items() if name in words_listed("connections"))
        credential = without_quotes(str(next(named, "")))
        if credential in self._connections or (credential and not self._connections and harmless(credential)):
            return plainly(credential)
        return next(iter(self._connections), BLANK)

    @property
    def _connects(self) -> bool:
        kept = self._given.values.keys() - {"PATH_DISPLAY_FILTERS", "COMMENT", "REGION", "VALIDATE", "READ_ONLY"}
        return bool(kept) and "{connect}" in self._phrase.ours

    @property
    def _connect(self) -> str:
        return f"CREATE S3 CONNECTION {self._name}{self._options}; " if self._connects else ""

    @property
    def _using(self) -> str:
        named = self._connects or "stage" in self._slots or "remote" in self._slots
        return f" USING {self._via}" if named else ""

    @property
    def _using_name(self) -> str:
        return f" USING {self._name}" if "named" in self._slots and not self._connects else self._using

    @property
    def _at_location(self) -> str:
        return f" LOCATION {literal(self._location)}" if "place" in self._slots else ""

    @property
    def _through(self) -> str:
        return literal(through(self._location, self._name))

    @property
    def _bucket(self) -> str:
        written = without_quotes(self._slots.get("bucket", self._slots.get("bare", "")))
        head, _, path = written.partition("/")
        if path and head in self._connections and self._phrase.whose != "Python's":
            return f"{literal(normal_location(path))} USING {plainly(head)}"
        location, glob = readings.glob_apart(normal_location(written))
        deep = f" RECURSIVE MATCHING {literal(glob)}" if glob and self._phrase.ours.startswith("LIST") else ""
        return f"{literal(location)}{deep}" if deep else literal(location + glob)

    @property
    def _field(self) -> str:
        match = FIELD.fullmatch(self._slots["field"])
        return f"${match[match.lastindex or 1]}" if match else BLANK

    @property
    def _set_value(self) -> str:
        return readings.setting_value(self._slots["value"])

    @property
    def _load(self) -> str:
        return load_of(self._whole, self._table)

    @property
    def _job(self) -> str:
        return job_of(self._listed[0] if "place" in self._slots else self._stage_parts[1])

    @property
    def _format(self) -> str:
        said, undone = written_as(self._given.others, self._slots, is_parted=self._is_parted)
        self._given.undone += undone
        return said

    @property
    def _job_options(self) -> str:
        glob, regular = self._listed[1] if "place" in self._slots else "", self._phrase.whose == "Snowflake's"
        said, undone = read_as(self._given.others, self._slots, glob, regular=regular)
        self._given.undone += undone
        return said


def phrased(text: str, span: Span, connections: Sequence[str]) -> Answer | None:
    """Return the translation of the statement at a span, by the phrases."""
    written = text[slice(*span)]
    if not written or len(written) > MOST:
        return None
    plain = COMMENT.sub(lambda match: match[1] or " ", written).strip().rstrip(";").rstrip()
    plain = readings.in_s3(plain, text)
    for phrase, flags, match in fitting(plain):
        if phrase.whose == "Python's" and any(map(readings.is_torn, match.groupdict().values())):
            continue
        pairs = settings_in(phrase, text) if {"value"} & match.groupdict().keys() else []
        taken = Rewriting(phrase, match.groupdict(), [*flags, *pairs], connections, text=plain)
        made = taken.answer(head_of(text, span), span, lines="\n" in written)
        if made and spaced(made.ours) != spaced(written):
            return made
    return None
