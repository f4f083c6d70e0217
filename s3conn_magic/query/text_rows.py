"""Rows of CSV and JSON: read as text, so that types fit all values, and cast exactly or refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any

from s3conn_magic.objects.dialects import unique_names
from s3conn_magic.objects.scope import UNPACKED
from s3conn_magic.query.failures import MARK
from s3conn_magic.query.sql import (
    SIGNED,
    has_long_integer,
    identifier,
    is_string,
    is_there,
    literal,
    long_numbers_as_written,
    names_once,
    names_twice,
    number_text,
    numbers_as_written,
    plain_numbers,
    pointers,
    without_spaces,
)
from s3conn_magic.query.text_types import (
    DOCUMENT,
    ISO,
    MIXED,
    NULL,
    NUMBERS,
    USUAL,
    CsvTypes,
    Evidence,
    Formats,
    JsonTypes,
    Shape,
    cast,
    cast_json,
    evidence,
    gathered,
    is_nested,
    kind_of,
    merged,
    misfit_of,
    misfits,
    nulls_of,
    shape_of,
    strict,
    transformed,
    type_of,
    usual_spelling,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import duckdb

    from s3conn_magic.objects.formats import Detected
    from s3conn_magic.query.text_types import Misfit

# Bytes reserved for a record at first, and at most: DuckDB's buffers are as large.
_FEW, *_ROOMS = (1024 * 512, 16 * 1024 * 1024, 128 * 1024 * 1024)
SAMPLE = 20_480
"""Records by which types are first determined."""
# A record as json_transform makes it, and whether it prints back as written.
_MADE, _SAME = (identifier(name) for name in ("a record", "a record is the same"))
_EXACT_NUMBERS, _ALWAYS = "exact_numbers", "ALWAYS"


@dataclass(frozen=True, slots=True)
class CsvRows:
    """Records of CSV.

    Attributes:
        source: FROM clause; each column is text.
        names: of its columns.
        formats: of dates and times.
        typed: False to leave all columns text.
        folders: columns that have types already.
    """

    source: str
    names: tuple[str, ...]
    formats: Formats = ISO
    typed: bool = True
    folders: tuple[str, ...] = ()

    def named(self, database: duckdb.DuckDBPyConnection) -> CsvRows:
        """Return the same with the column names of the objects."""
        names = [name for name, *_ in database.execute(f"DESCRIBE FROM {self.source}").fetchall()]
        return replace(self, names=tuple(names))

    def learn(self, database: duckdb.DuckDBPyConnection, known: CsvTypes | None = None, *, whole: bool) -> CsvTypes:
        """Return what the columns' values are.

        Args:
            database: reads them.
            known: of other objects of the same table, to be extended.
            whole: read all values, not only the first.
        """
        known = known or CsvTypes()
        if not self.typed or not self.names:
            return known
        rows = self.source if whole else f"(FROM {self.source} LIMIT {SAMPLE})"
        query = evidence([identifier(name) for name in self.names], rows, self.formats)
        return known.joined(gathered(database.execute(query).fetchall(), self.names))

    def types(self, known: CsvTypes, *, decimals: bool = False) -> dict[str, str]:
        """Return the type of each column by what is known; prefer `decimals` to DOUBLE if both hold its values."""
        return {name: known.type(name, decimals=decimals) if self.typed else "VARCHAR" for name in self.names}

    def select(self, known: CsvTypes, types: Mapping[str, str], hint: str = "") -> str:
        """Return the query of the rows, each value exactly of its column's type, or an error.

        Args:
            known: what is known of the values.
            types: of the columns.
            hint: for the error of a value that does not fit.
        """
        del known
        names = [name for name in self.names if name in types]
        # Each text is cast once, in a subquery: DuckDB would cast again in each branch of a CASE.
        values = unique_names([*self.names, *self.folders, *(f"{name} as a value" for name in names)])[-len(names) :]
        casts = [
            f"TRY_CAST({identifier(name)} AS {types[name]}) AS {identifier(value)}"
            for name, value in zip(names, values, strict=True)
            if types[name] in USUAL
        ]
        columns = [
            f"{strict(identifier(name), types[name], name, self.formats, hint, value=made)} AS {identifier(name)}"
            for name, value in zip(names, values, strict=True)
            for made in [identifier(value) if types[name] in USUAL else ""]
        ]
        columns += map(identifier, self.folders)
        source = f"(SELECT {', '.join(['*', *casts])} FROM {self.source})" if casts else self.source  # noqa: S608
        return f"SELECT {', '.join(columns)} FROM {source}"  # noqa: S608 - quoted names

    def misfit(self, database: duckdb.DuckDBPyConnection, known: CsvTypes, types: Mapping[str, str]) -> Misfit | None:
        """Return the first record that does not fit, or None."""
        del known
        texts = [(identifier(name), types[name], name) for name in self.names if name in types]
        return misfit_of(database.execute(misfits(texts, self.source, self.formats)).fetchall())


@dataclass(frozen=True, slots=True)
class JsonRows:
    """Records of JSON.

    Attributes:
        source: FROM clause; its column `json` is a record as written.
        formats: of dates and times.
        typed: False to leave strings text.
        folders: further columns that have types already.
    """

    source: str
    formats: Formats = ISO
    typed: bool = True
    folders: tuple[str, ...] = ()

    def learn(self, database: duckdb.DuckDBPyConnection, known: JsonTypes | None = None, *, whole: bool) -> JsonTypes:
        """As in `CsvRows`."""
        known = known or JsonTypes()
        rows = self.source if whole else f"(FROM {self.source} LIMIT {SAMPLE})"
        structures = database.execute(
            f"SELECT json_structure({DOCUMENT}), min(number) FROM (SELECT *, row_number() OVER () AS number FROM {rows})"  # noqa: S608, E501
            f" WHERE {DOCUMENT} IS NOT NULL GROUP BY 1 ORDER BY 2"
        ).fetchall()
        records = [shape_of(structure) for structure, _ in structures]
        shape = reduce(merged, records, known.shape)
        if not isinstance(shape, dict) or not shape:
            return JsonTypes(MIXED if records or known.shape == MIXED else known.shape)
        return self._with_values(database, rows, replace(known, shape=shape))

    def _with_values(self, database: duckdb.DuckDBPyConnection, rows: str, known: JsonTypes) -> JsonTypes:
        strings = [name for name in known.names if known.shape[name] == "VARCHAR"]
        numbers = [name for name in known.names if known.shape[name] in NUMBERS]
        nested = [name for name in known.names if isinstance(known.shape[name], (dict, list))]
        rows = f"(SELECT {DOCUMENT}, {long_numbers_as_written(DOCUMENT)} AS {_EXACT_NUMBERS} FROM {rows})"  # noqa: S608
        more_strings = self._evidence(database, rows, strings, strings=True) if self.typed else {}
        more_numbers = self._evidence(database, rows, numbers, strings=False)
        shapes, long, longer = dict(known.shapes), set(known.long), set(known.longer)
        twice = names_twice(database, DOCUMENT, rows, {name: known.shape[name] for name in nested})
        known = replace(known, shape={**known.shape, **dict.fromkeys(twice, MIXED)})  # text keeps both
        for name, shape, is_long, is_longer in _nested(database, rows, nested):
            shapes[name] = shapes.get(name, frozenset()) | {shape}
            long |= {name} if is_long else set()
            longer |= {name} if is_longer else set()
        strings_, numbers_ = _added(known.strings, more_strings), _added(known.numbers, more_numbers)
        return JsonTypes(known.shape, shapes, frozenset(long), frozenset(longer), strings_, numbers_)

    def _evidence(
        self, database: duckdb.DuckDBPyConnection, rows: str, names: Sequence[str], *, strings: bool
    ) -> dict[str, Evidence]:
        if not names:
            return {}
        fields = [f"fields[{at + 1}]" for at in range(len(names))]
        texts = fields if strings else [number_text(text) for text in fields]
        document = DOCUMENT if strings else _EXACT_NUMBERS
        rows = f"(SELECT json_extract_string({document}, {pointers(names)}) AS fields FROM {rows})"  # noqa: S608
        query = evidence(texts, rows, self.formats if strings else ISO, strings=strings)
        return gathered(database.execute(query).fetchall(), names)

    def types(self, known: JsonTypes, *, decimals: bool = False) -> dict[str, str]:
        """As in `CsvRows`."""
        kinds = {column: known.type(name, decimals=decimals) for name, column in known.columns.items()}
        times = () if self.typed else ("DATE", "TIME")
        return {column: "VARCHAR" if kind.startswith(times) else kind for column, kind in kinds.items()}

    def select(self, known: JsonTypes, types: Mapping[str, str], hint: str = "") -> str:
        """As in `CsvRows`."""
        if not isinstance(known.shape, dict):
            return f"SELECT {', '.join([DOCUMENT, *map(identifier, self.folders)])} FROM {self.source}"  # noqa: S608
        columns = self._columns(known, types)
        beside = [identifier(name) for name in self.folders]
        # Each value is extracted, made text and cast once: DuckDB would do so again in each branch of a CASE.
        values = [f"{column.taken} AS {column.at('value')}" for column in columns]
        apart = [column.placed() for column in columns]
        texts = [f"{column.spelt} AS {column.at('text')}" for column in apart if not column.is_nested]
        made = [replace(column, written=column.at("text")) for column in apart]
        casts = [f"{column.cast(types[column.name])} AS {column.at('cast')}" for column in made]
        fields = self._fields(known, types, hint, {column.key: column.native for column in columns})
        rows = f"(SELECT {', '.join([_MADE, _SAME, *values, *beside])} FROM {fields})"  # noqa: S608
        rows = f"(SELECT {', '.join(['*', *texts])} FROM {rows})"  # noqa: S608
        rows = f"(SELECT {', '.join(['*', *casts])} FROM {rows})"  # noqa: S608
        results = (f"{_result(column, types[column.name], hint)} AS {identifier(column.name)}" for column in made)
        return f"SELECT {', '.join([*results, *beside])} FROM {rows}"  # noqa: S608 - quoted names

    def _columns(self, known: JsonTypes, types: Mapping[str, str]) -> list[_Column]:
        native = _native if type_of(known.shape).startswith("STRUCT") else lambda *_: ""
        return [
            _Column(column, name, f"{list_}[{at + 1}]", shape, self.formats, shapes, native(shape, types[column]))
            for at, (name, column) in enumerate(known.columns.items())
            for shape, shapes in [(known.shape[name], known.shapes.get(name, frozenset()))]
            for list_ in ["written" if _is_written(shape, types.get(column, "")) else "fields"]
            if column in types
        ]

    def _fields(self, known: JsonTypes, types: Mapping[str, str], hint: str, native: Mapping[str, Shape]) -> str:
        """Return a FROM clause: a typed record and whether it prints back, or else a list of its values.

        A record that prints back as written proves its values, and that there are no others. Any other is checked value
        by value; additional fields are an error.
        """
        problem, exact = _record(known)
        prefix = literal(f"{MARK}a record has ")
        failure = f"error({prefix} || {problem} || {literal(f'; {hint}' if hint else '')})::JSON[]"
        fields, written = _extracted(known, types)
        beside = "".join(f", {identifier(name)}" for name in self.folders)
        structure = {name: native.get(name) or "JSON" for name in known.names}
        record = f"json_transform({DOCUMENT}, {literal(json.dumps(structure, ensure_ascii=False))})"
        record, same = (record, _prints_back(_MADE)) if all(native.values()) else ("NULL", "false")
        rows = f"(SELECT *, {record} AS {_MADE} FROM {self.source})"  # noqa: S608
        rows = f"(SELECT *, {same} AS {_SAME} FROM {rows})"  # noqa: S608
        list_ = f"CASE WHEN {_SAME} THEN NULL WHEN {exact} THEN {fields} ELSE {failure} END"
        written = f"CASE WHEN {_SAME} THEN NULL ELSE {written} END"
        return f"(SELECT {_MADE}, {_SAME}, {list_} AS fields, {written} AS written{beside} FROM {rows})"  # noqa: S608

    def misfit(self, database: duckdb.DuckDBPyConnection, known: JsonTypes, types: Mapping[str, str]) -> Misfit | None:
        """As in `CsvRows`."""
        if not isinstance(known.shape, dict):
            return None
        problem, exact = _record(known)
        cases = [f"WHEN NOT ({exact}) THEN ['', 'JSON', {problem}]"]
        for column in self._columns(known, types):
            kind = types[column.name]
            bad = f"{column.there} AND NOT coalesce({_exact(column, kind)}, false)"
            cases.append(f"WHEN {bad} THEN [{literal(column.name)}, {literal(kind)}, {column.has}]")
        fields, written = _extracted(known, types)
        source = f"{fields} AS fields, {written} AS written, row_number() OVER () AS number"
        rows = f"(SELECT *, {source} FROM {self.source})"  # noqa: S608 - see `sql`
        judged = f"(SELECT number, CASE {' '.join(cases)} END AS found FROM {rows})"  # noqa: S608
        query = f"SELECT number, found[1], found[2], found[3] FROM {judged} WHERE found IS NOT NULL"  # noqa: S608
        return misfit_of(database.execute(f"{query} ORDER BY number LIMIT 1").fetchall())


@dataclass(frozen=True, slots=True)
class _Column:
    """A field of the records: SQL of its JSON value, and the shapes that need no check if the record prints back."""

    name: str
    key: str
    value: str
    shape: Shape
    formats: Formats
    shapes: frozenset[str]
    native: Shape = ""
    written: str = ""

    def at(self, step: str) -> str:
        """Return the name of an intermediate column."""
        return identifier(f"{step} of {self.name}")

    def placed(self) -> _Column:
        """The same with its value in such a column."""
        return replace(self, value=self.at("value"))

    @property
    def made(self) -> str:
        """The value in a record that prints back."""
        return f"{_MADE}.{identifier(self.key)}"

    @property
    def taken(self) -> str:
        """The value as JSON, unless the record has it in its own type."""
        return f"CASE WHEN {_SAME} THEN {self.made} ELSE {self.value} END" if self.native == "JSON" else self.value

    @property
    def spelt(self) -> str:
        """The text, wherever the record has it."""
        plain = self.native == "VARCHAR" or (self.native == "JSON" and self.shape != "VARCHAR")
        return f"CASE WHEN {_SAME} THEN {self.made}::VARCHAR ELSE {self.text} END" if plain else self.text

    @property
    def there(self) -> str:
        return is_there(self.value)

    @property
    def is_string(self) -> str:
        return is_string(self.value)

    @property
    def text(self) -> str:
        """A string without its quotes, or any other value as written."""
        if self.written:
            return self.written
        if self.shape == "VARCHAR":
            return f"({self.value} ->> '$')"
        return f"rtrim(replace({self.value}::VARCHAR, {literal(chr(34) + SIGNED)}, ''), {literal(chr(34))})"

    def cast(self, kind: str) -> str:
        """Return the value of the text in its usual spelling; otherwise NULL, which costs nothing."""
        return f"TRY_CAST({self.text} AS {kind})" if kind in USUAL and not self.is_nested else "NULL"

    @property
    def is_nested(self) -> bool:
        """Whether its values are objects or lists."""
        return isinstance(self.shape, (dict, list))

    @property
    def has(self) -> str:
        """Description of the value."""
        string = f"({self.value} ->> '$')"
        kinds = (("OBJECT", "an object"), ("ARRAY", "a list"), ("BOOLEAN", "a truth value"))
        cases = " ".join(f"WHEN json_type({self.value}) = '{kind}' THEN '{words}'" for kind, words in kinds)
        return f"CASE {cases} WHEN {self.is_string} THEN {kind_of(string)} ELSE 'a number' END"


def _exact(column: _Column, kind: str) -> str:
    """Return SQL that tests whether the type holds the column's value."""
    if kind in {"VARCHAR", "JSON"}:
        return column.is_string if column.shape == kind == "VARCHAR" else "true"
    if kind == NULL:
        return "false"
    if column.shape == "VARCHAR":
        return f"({column.is_string} AND {cast(column.text, kind, column.formats).exact})"
    if _is_by_parts(column.shape, kind):
        return f"({cast_json(column.value, kind).exact})"
    if column.is_nested:
        known = ", ".join(map(literal, sorted(column.shapes)))
        once = names_once(column.value, column.shape) or "true"
        matches = f"json_structure({column.value})::VARCHAR IN ({known}) AND {once}"
        return f"({matches} AND NOT {has_long_integer(column.value)})" if "DOUBLE" in kind else f"({matches})"
    return f"(NOT {column.is_string} AND {cast(column.text, kind).exact})"


def _value(column: _Column, kind: str, hint: str) -> str:
    if kind == "JSON":
        return f"CASE WHEN {column.there} THEN {plain_numbers(column.value)} END"
    if kind == "VARCHAR" and column.shape != "VARCHAR":
        written = f"{plain_numbers(column.value)}::VARCHAR"
        text = f"CASE WHEN {column.is_string} THEN ({column.value} ->> '$') ELSE {written} END"
        return f"CASE WHEN {column.there} THEN {text} END"
    if kind == NULL:
        value = "NULL"
    elif column.shape == "VARCHAR":
        value = cast(column.text, kind, column.formats).value
    elif _is_by_parts(column.shape, kind):
        value = cast_json(column.value, kind).value
    elif column.is_nested:
        structure = json.dumps(transformed(column.shape), ensure_ascii=False)
        value = f"json_transform({column.value}, {literal(structure)})::{kind}"
    else:
        value = cast(column.text, kind).value
    prefix = literal(f"{MARK}the column {column.name} is {kind}, and a record has ")
    failure = f"error({prefix} || {column.has} || {literal(f'; {hint}' if hint else '')})::{kind}"
    exact = f"WHEN {_exact(column, kind)} THEN {value}"
    if kind in USUAL and not column.is_nested:
        formats = column.formats if column.shape == "VARCHAR" else ISO
        is_one = column.is_string if column.shape == "VARCHAR" else f"NOT {column.is_string}"
        usual = usual_spelling(column.text, kind, column.at("cast"), formats)
        exact = f"WHEN {is_one} AND {usual} THEN {column.at('cast')} {exact}"
    return f"CASE WHEN NOT {column.there} THEN NULL {exact} ELSE {failure} END"


def _result(column: _Column, kind: str, hint: str) -> str:
    """Return SQL of the column's value, or an error."""
    value = _value(column, kind, hint)
    if column.native in ("", "JSON"):
        return value
    own = f"{column.made}::{kind}"
    if column.native == "VARCHAR":
        own = strict(column.text, kind, column.name, column.formats, hint, value=column.at("cast"))
    return f"CASE WHEN {_SAME} THEN {own} ELSE {value} END"


def _native(shape: Shape, kind: str) -> Shape:
    """Return the shape that json_transform converts without further checks if its record prints back."""
    if shape == "VARCHAR" and (kind in USUAL or kind == "VARCHAR"):
        return "VARCHAR"
    # A double may be written as an integer; duplicate keys of a MAP are an error of DuckDB.
    whole = kind == type_of(shape) and kind not in {"DOUBLE", NULL} and "MAP(" not in kind and "JSON" not in kind
    return transformed(shape) if whole else "JSON"


def _prints_back(value: str) -> str:
    """Return SQL that tests whether a record prints back as its text, except for spaces and missing fields."""
    printed = f"to_json({value})"
    bare = without_spaces
    others = f"json_merge_patch('{{}}', {printed})"
    return (
        f"CASE WHEN {printed}::VARCHAR = {DOCUMENT} THEN true WHEN {bare(printed)} = {bare(DOCUMENT)} THEN true"
        f" ELSE coalesce({bare(others)} = {bare(DOCUMENT)}, false) END"
    )


def _is_known(known: JsonTypes) -> str:
    names, keys = ", ".join(map(literal, known.names)), f"json_keys({DOCUMENT})"
    return f"({keys} = [{names}] OR (list_has_all([{names}], {keys}) AND list_unique({keys}) = len({keys})))"


def _record(known: JsonTypes) -> tuple[str, str]:
    """Return SQL of what is wrong with a record as a whole, and of whether nothing is."""
    is_object = f"starts_with(ltrim({DOCUMENT}), '{{')"
    problem = f"CASE WHEN NOT {is_object} THEN 'no fields' ELSE 'other fields than those before, or one twice' END"
    own = f"contains({DOCUMENT}, {literal(SIGNED)})"
    problem = f"CASE WHEN {own} THEN 'a control character that marks numbers here' ELSE {problem} END"
    return problem, f"{is_object} AND {_is_known(known)} AND NOT {own}"


def _extracted(known: JsonTypes, types: Mapping[str, str]) -> tuple[str, str]:
    """Return the values of a record; and once more with numbers as written, if a column needs them."""
    shapes = {column: known.shape[name] for name, column in known.columns.items() if column in types}
    document = DOCUMENT if {*map(str, shapes.values())} <= {"VARCHAR"} else long_numbers_as_written(DOCUMENT)
    is_written = any(_is_written(shape, types[column]) for column, shape in shapes.items())
    written = f"json_extract({numbers_as_written(DOCUMENT)}, {pointers(known.names)})" if is_written else "NULL"
    return f"json_extract({document}, {pointers(known.names)})", written


def _is_written(shape: Shape, kind: str) -> bool:
    """Return whether a column keeps values as written; strings always do."""
    return shape != "VARCHAR" and (kind in ("VARCHAR", "JSON") or kind[:7] == "DECIMAL" or _is_by_parts(shape, kind))


def _is_by_parts(shape: Shape, kind: str) -> bool:
    """Return whether a nested type differs from the values' shape, or contains JSON, which is kept as written."""
    return shape != "VARCHAR" and is_nested(kind) and (kind != type_of(shape) or "JSON" in kind)


def _nested(database: duckdb.DuckDBPyConnection, rows: str, names: Sequence[str]) -> list[Any]:
    """Return place, shape, and whether a double, or the parser, may round numbers, of objects and lists by column."""
    value, exact = (f"unnest(json_extract({text}, {pointers(names)}))" for text in (DOCUMENT, _EXACT_NUMBERS))
    places = f"(SELECT unnest(range({len(names)})) AS place, {value} AS value, {exact} AS exact FROM {rows})"  # noqa: S608
    large = f"bool_or({has_long_integer('value')}), bool_or(contains(exact::VARCHAR, {literal(SIGNED)}))"
    query = f"SELECT place, json_structure(value), {large} FROM {places} WHERE value IS NOT NULL GROUP BY 1, 2"  # noqa: S608
    return [(names[at], *rest) for at, *rest in database.execute(query).fetchall()] if names else []


def _added(known: Mapping[str, Evidence], more: Mapping[str, Evidence]) -> dict[str, Evidence]:
    return {name: known.get(name, Evidence()).joined(more.get(name, Evidence())) for name in {**known, **more}}


TextRows = CsvRows | JsonRows
"""Records of text, of either format."""


def text_rows_of(path: str | Sequence[str], detected: Detected, entries: Sequence[str] = ()) -> TextRows:
    """Return the records of objects of CSV or JSON.

    Args:
        path: in the engine's filesystem, or several, not quoted; with `UNPACKED` for plain content.
        detected: from their first bytes.
        entries: objects at the path, if it is a pattern.
    """
    if detected.format.reader == "read_json":
        # From a file with such a name, DuckDB reads only the features.
        is_whole = not detected.array and any(".geojson" in name.casefold() for name in entries or [str(path)])
        return _json_rows(path, detected, is_whole=is_whole)
    names = unique_names(detected.names)
    return _csv_rows(csv_call(path, names or ["column0"], detected), detected, names)


def several_csv(objects: Iterable[tuple[str, Detected]], detected: Detected) -> CsvRows:
    """Return the records of several objects of CSV, with columns by name; arguments as in `text_rows_of`."""
    alike: dict[str, list[str]] = {}
    for path, each in objects:
        own = {"all_varchar": "true", "union_by_name": "true"}
        if each.log:  # names are not in the objects
            own = {"auto_detect": "false", "columns": _texts(unique_names(each.names))}
        alike.setdefault(json.dumps(own | _csv_options(each)), []).append(path)
    sources = [_call("read_csv", paths, json.loads(options)) for options, paths in alike.items()]
    union = " UNION ALL BY NAME ".join(f"SELECT * FROM {source}" for source in sources)  # noqa: S608 - readers' calls
    return _csv_rows(f"({union})" if len(sources) > 1 else sources[0], detected, ())


def csv_call(path: str | Sequence[str], names: Sequence[str], detected: Detected, **more: str) -> str:
    """Return a FROM item for records of CSV with these columns; `more` are options of DuckDB's reader."""
    return _call("read_csv", path, {"auto_detect": "false", "columns": _texts(names), **_csv_options(detected), **more})


def _texts(names: Sequence[str]) -> str:
    return "{" + ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names) + "}"


_NO_FOLDERS = "hive_partitioning = false"


def with_folders(rows: TextRows, kinds: Mapping[str, str]) -> TextRows:
    """Return the same records with typed columns of folder names."""
    types = ", ".join(f"{literal(name)}: {kind}" for name, kind in kinds.items())
    source = rows.source.replace(_NO_FOLDERS, f"hive_partitioning = true, hive_types = {{{types}}}")
    return replace(rows, source=source, folders=tuple(kinds))


def with_files(rows: TextRows, name: str) -> str:
    """Return the FROM clause with the path of each record's file in a column."""
    return rows.source.replace(_NO_FOLDERS, f"{_NO_FOLDERS}, filename = {literal(name)}")


def _csv_rows(source: str, detected: Detected, names: Sequence[str]) -> CsvRows:
    formats = Formats(detected.settings.get("DATE_FORMAT") or "", detected.settings.get("TIMESTAMP_FORMAT") or "")
    return CsvRows(source, tuple(names), formats, detected.settings.get("INFER_TYPES") is not False)


def _csv_options(detected: Detected) -> dict[str, str]:
    return {
        "header": str(bool(detected.settings.get("HEADER"))).lower(),
        "delim": literal(detected.settings.get("DELIMITER") or ","),
        "quote": "'\"'",
        "escape": literal(detected.settings.get("QUOTE_ESCAPE_CHAR") or '"'),
        "nullstr": f"[{', '.join(dict.fromkeys(map(literal, nulls_of(detected.settings))))}]",
        # "" is an empty text, and null is nothing between two delimiters; in a log, a quoted "-" is null.
        "allow_quoted_nulls": str(bool(detected.log)).lower(),
        # Comments are removed before DuckDB reads the text.
        "comment": "''",
        "skip": str(detected.blank),
        **({"null_padding": "true", _ALWAYS: detected.settings[_ALWAYS]} if _ALWAYS in detected.settings else {}),
        **_room_in_csv(_ROOMS[0]),
    }


def _json_rows(path: str | Sequence[str], detected: Detected, *, is_whole: bool) -> JsonRows:
    is_whole = is_whole or detected.settings.get("SPLIT_ROOT_ARRAY") is False
    options = {
        "format": "'unstructured'" if is_whole else "'auto'",
        "maximum_object_size": str(_ROOMS[0]),
    }
    source = _call("read_json_objects", path, options)
    if detected.format.type == "CLOUDTRAIL":
        records = "unnest(json_extract(json, '$.Records[*]'))::VARCHAR AS json"
        source = f"(SELECT {records}, * EXCLUDE (json) FROM {source})"  # noqa: S608 - a reader's call
    return JsonRows(source)


def _room_in_csv(record: int) -> dict[str, str]:
    return {"max_line_size": str(record), "buffer_size": str(2 * record)}


def with_room(rows: TextRows, *, wide: bool = True) -> TextRows:
    """Return the same records with space for longer ones.

    If not `wide`, they have less space, so that DuckDB asks for few more bytes than those of the first records.
    """
    small, large = _ROOMS if wide else (_ROOMS[0], _FEW)
    source = rows.source.replace(f"maximum_object_size = {small}", f"maximum_object_size = {large}")
    for name, size in _room_in_csv(small).items():
        source = source.replace(f"{name} = {size}", f"{name} = {_room_in_csv(large)[name]}")
    return replace(rows, source=source)


def _call(function: str, path: str | Sequence[str], options: Mapping[str, str]) -> str:
    compression = "gzip" if (path if isinstance(path, str) else path[0]).startswith(UNPACKED) else "none"
    arguments = [f"{name} = {value}" for name, value in options.items() if name != _ALWAYS]
    arguments.append(f"compression = {literal(compression)}")
    where = literal(path) if isinstance(path, str) else f"[{', '.join(map(literal, path))}]"
    call = f"{function}({where}, {', '.join([*arguments, _NO_FOLDERS])})"
    always = options.get(_ALWAYS)
    return call if always is None else always_there(call, always, f"a line ends before its {always}")


def always_there(source: str, name: str, failure: str) -> str:
    """Return a FROM clause that fails where a record has no value in the column."""
    failed = f"error({literal(MARK + failure)})::BOOLEAN"
    return f"(FROM {source} WHERE CASE WHEN {identifier(name)} IS NULL THEN {failed} ELSE true END)"
