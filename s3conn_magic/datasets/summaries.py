"""SUMMARIZE: figures for each column, by one query over the rows or from Parquet statistics alone."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from s3conn_magic.errors import QueryError, S3ConnError
from s3conn_magic.language.result_columns import SUMMARY_COLUMNS
from s3conn_magic.listing.analysis import GB, STORAGE_USD
from s3conn_magic.query.sql import answered, literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from s3conn_magic.datasets.portrait import Dataset
    from s3conn_magic.query.engine import QueryEngine

_BARS = "▁▂▃▄▅▆▇█"
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_NUMBERS = (*_INTEGERS, "UHUGEINT", "FLOAT", "DOUBLE")
_NESTED = ("STRUCT", "MAP", "UNION")
_FREQUENT = 5
_STEPS = 16
_QUANTILES = [step / _STEPS for step in range(_STEPS + 1)]


class FooterFigures(NamedTuple):
    """Exact figures for a column from statistics: rows, missing values, smallest and greatest value as text."""

    rows: int | None = None
    nulls: int | None = None
    least: str | None = None
    greatest: str | None = None


def _is_number(kind: str) -> bool:
    return kind in _NUMBERS or kind.startswith("DECIMAL")


def _is_nested(kind: str) -> bool:
    return kind.endswith("]") or kind.startswith(_NESTED)


def summary_query(columns: Sequence[tuple[str, str]], source: str, percent: int | None) -> str:
    """Return the query for one row with all figures; columns are named by position.

    Args:
        columns: names and DuckDB types.
        source: the query for the rows.
        percent: percentage of rows to sample; None for all.
    """
    figures = ["count(*)"]
    for at, (_, kind) in enumerate(columns):
        figures += _figures(f"c{at}", kind)
    names = ", ".join(f"c{at}" for at in range(len(columns)))
    sample = f" USING SAMPLE {percent} PERCENT (bernoulli)" if percent not in (None, 100) else ""
    return f"SELECT {', '.join(figures)} FROM (SELECT * FROM ({source}\n) AS t({names}){sample})"  # noqa: S608 - our own names


_FIGURES_EACH = 8


def _figures(name: str, kind: str) -> Iterator[str]:
    """Yield the expressions for a column, always as many; NULL where a figure does not apply."""
    plain, number = not _is_nested(kind), _is_number(kind)
    finite = f"FILTER (isfinite({name}))" if kind in {"FLOAT", "DOUBLE"} else ""
    yield f"min({name})::VARCHAR" if plain else "NULL"
    yield f"max({name})::VARCHAR" if plain else "NULL"
    yield f"approx_count_distinct({name})"
    yield f"count({name})"
    yield (
        f"avg({name}) {finite}::DOUBLE"
        if number and not finite
        else f"(avg({name}) {finite})::DOUBLE"
        if number
        else "NULL"
    )
    yield f"(stddev_samp({name}::DOUBLE) {finite})" if number else "NULL"
    yield f"(approx_quantile({name}::DOUBLE, {_QUANTILES}) {finite})" if number else "NULL"
    yield f"approx_top_k({name}, {_FREQUENT})::VARCHAR[]" if plain else "NULL"


def summary_rows(
    columns: Sequence[tuple[str, str]], answer: pa.Table | None, known: Mapping[str, FooterFigures]
) -> list[tuple[Any, ...]]:
    """Return the rows of SUMMARIZE, one per column.

    Args:
        columns: names and DuckDB types.
        answer: result of `summary_query`; None if no rows were read.
        known: figures from statistics by column name; they take precedence.
    """
    values = [column[0].as_py() for column in answer.columns] if answer is not None else []
    rows = []
    for at, (name, kind) in enumerate(columns):
        figures = values[1 + at * _FIGURES_EACH : 1 + (at + 1) * _FIGURES_EACH] or [None] * _FIGURES_EACH
        least, greatest, unique, there, mean, deviation, quantiles, frequent = figures
        count = values[0] if values else None
        share = (count - there) / count if count else None
        exact = known.get(name, FooterFigures())
        if exact.rows is not None and exact.nulls is not None:
            count, share = exact.rows, exact.nulls / exact.rows if exact.rows else None
        least, greatest = exact.least or least, exact.greatest or greatest
        quarters = [quantiles[_STEPS * quarter // 4] for quarter in (1, 2, 3)] if quantiles else [None] * 3
        bars = _histogram(quantiles) if quantiles else None
        rows.append((name, kind, least, greatest, unique, mean, deviation, *quarters, count, share, frequent, bars))
    return rows


def _histogram(quantiles: Sequence[float]) -> str:
    """Return the distribution over eighths of the range as bars, by interpolating the quantiles."""
    low, high = quantiles[0], quantiles[-1]
    if not high > low:
        return _BARS[-1]
    edges = [low + (high - low) * step / len(_BARS) for step in range(len(_BARS) + 1)]
    below = [_share_below(quantiles, edge) for edge in edges]
    parts = [after - before for before, after in pairwise(below)]
    most = max(parts)
    return "".join(_BARS[min(round(part / most * (len(_BARS) - 1)), len(_BARS) - 1)] for part in parts)


def _share_below(quantiles: Sequence[float], edge: float) -> float:
    steps = len(quantiles) - 1
    share = 0.0
    for before, after in pairwise(quantiles):
        if edge >= after:
            share += 1 / steps
        elif edge > before:
            share += (edge - before) / (after - before) / steps
    return share


def statistics_query(path: str, columns: Sequence[tuple[str, str]]) -> str:
    """Return the query for the statistics in Parquet footers, for each column that is not nested.

    A smallest or greatest value counts only if every row group has it and marks it as exact, as those of long texts may
    be cut. For FLOAT and DOUBLE they do not count, since statistics leave out NaN.
    """
    cases = []
    for name, kind in columns:
        if _is_nested(kind):
            continue
        ends = "NULL, NULL"
        if kind not in {"FLOAT", "DOUBLE", "BLOB"} and not kind.startswith("TIME"):
            exact = "bool_and(coalesce(min_is_exact, {0}) AND coalesce(max_is_exact, {0}) AND"
            exact += (
                " ((stats_min_value IS NOT NULL AND stats_max_value IS NOT NULL) OR stats_null_count = num_values))"
            )
            sure = exact.format("false" if kind == "VARCHAR" else "true")
            ends = ", ".join(
                f"CASE WHEN {sure} THEN {function}(TRY_CAST(stats_{function}_value AS {kind}))::VARCHAR END"
                for function in ("min", "max")
            )
        column = literal(name)
        nulls = "CASE WHEN count(*) = count(stats_null_count) THEN sum(stats_null_count)::BIGINT END"
        figures = f"{column}, sum(row_group_num_rows)::BIGINT, {nulls}, {ends}"
        cases.append(f"SELECT {figures} FROM footers WHERE path_in_schema = {column}")  # noqa: S608 - quoted
    if not cases:
        return ""
    return f"WITH footers AS MATERIALIZED (FROM parquet_metadata({literal(path)})) {' UNION ALL '.join(cases)}"


def known_of(answer: pa.Table) -> dict[str, FooterFigures]:
    """Return the figures from `statistics_query` by column, except for columns that some files lack."""
    rows = [tuple(column[at].as_py() for column in answer.columns) for at in range(len(answer))]
    most = max((count or 0 for _, count, *_ in rows), default=0)
    return {name: FooterFigures(count, *rest) for name, count, *rest in rows if count == most}


def column_summary(column: pa.ChunkedArray) -> dict[str, Any]:
    """Return the figures for a column in memory, by SUMMARIZE's column names.

    Values without a DuckDB type are summarized as text.
    """
    try:
        return _summary(pa.table({"c0": column}))
    except QueryError:
        texts = [None if value is None else str(value) for value in column.to_pylist()]
        return _summary(pa.table({"c0": pa.array(texts, pa.string())}))


def _summary(values: pa.Table) -> dict[str, Any]:
    kind = answered("SELECT column_type FROM (DESCRIBE given)", given=values)[0][0].as_py()
    columns = [("c0", kind)]
    answer = answered(summary_query(columns, "FROM given", None), given=values)
    (row,) = summary_rows(columns, answer, {})
    return dict(zip([each.name for each in SUMMARY_COLUMNS], row, strict=True))


# ANALYZE by query

_TIMES = "max(last_modified) AS newest, min(last_modified) AS oldest"
ADDED_UP = {
    "DUPLICATES": f"""SELECT min(key) AS "group", count(*) - 1 AS objects,
        (sum(size) - any_value(size))::BIGINT AS bytes, {_TIMES},
        sum({{usd}}) * (count(*) - 1) / count(*) AS usd_month FROM objects({{path}})
        WHERE size > 0 AND etag <> '' GROUP BY etag, size HAVING count(*) > 1""",  # noqa: S608 - our own words
    "VERSIONS": f"""SELECT CASE WHEN is_delete_marker THEN 'delete markers' WHEN is_latest THEN 'current versions'
        ELSE 'old versions' END AS "group", count(*) AS objects, coalesce(sum(size), 0)::BIGINT AS bytes, {_TIMES},
        sum({{usd}}) AS usd_month FROM objects({{path}}, versions => true) GROUP BY 1""",  # noqa: S608 - as above
}


def added_up_query(by: str, path: str) -> str:
    """Return the query for ANALYZE by criteria that need every etag or version below a path."""
    prices = " ".join(f"WHEN {literal(name)} THEN {price}" for name, price in STORAGE_USD.items())
    known = f"size * CASE storage_class {prices} END / {GB}"
    usd = f"coalesce({known}, CASE WHEN size > 0 THEN 'nan'::DOUBLE ELSE 0 END)"
    return ADDED_UP[by].format(usd=usd, path=literal(path))


def count_rows(engine: QueryEngine, dataset: Dataset) -> None:
    """Count all rows of a dataset; if that fails, add why to its reason."""
    path = literal(dataset.named)
    source = f"read_parquet({path})" if dataset.format == "Parquet" else path
    try:
        table = engine.query(f"SELECT count(*) FROM {source}").table  # noqa: S608 - a quoted path
    except S3ConnError as error:
        dataset.reason += f"; its rows cannot be counted: {error.message}"
    else:
        dataset.rows, dataset.bound = int(table.column(0)[0].as_py()), "exact"
