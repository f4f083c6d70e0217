"""Statements against the connections that the ones before them would leave."""

from __future__ import annotations

import pytest
from catalogs import Connections, having, plans_of, used, with_options
from offline import VARIABLES, Inputs, offline_session

from s3conn_magic.errors import (
    BindError,
    ConnectionExistsError,
    ConnectionInUseError,
    ConnectionNotFoundError,
    S3ConnError,
)
from s3conn_magic.language import plans, statements
from s3conn_magic.language.options import BoundValue
from s3conn_magic.language.plans import Known, Usage
from s3conn_magic.locations import Location

TABLE, JOB = Usage("table", "events"), Usage("job", "load_events")


def _names(session) -> list[str]:
    return [one.name for one in session.connections]


# One cell


def test_a_connection_made_in_a_cell_is_there_for_the_rest_of_it():
    """CREATE then LIST in one cell binds, although nothing has run."""
    made, listed = plans_of("CREATE S3 CONNECTION x; LIST 's3://bucket/' USING X")
    assert (made.name, listed.name, listed.location) == ("x", "x", Location("bucket"))


def test_a_connection_dropped_in_a_cell_is_gone_for_the_rest_of_it():
    """DROP then use is an error, and nothing of the cell ran."""
    session = offline_session("lake", "logs")
    with pytest.raises(ConnectionNotFoundError) as caught:
        list(session.run("DROP CONNECTION lake;\nSHOW CREATE S3 CONNECTION lake;"))
    assert caught.value.place.line == 2
    assert _names(session) == ["lake", "logs"]


def test_a_cell_with_an_error_at_its_end_changes_nothing():
    """Every statement is bound before the first one runs."""
    session = offline_session("lake")
    for end in ("DROP CONNECTION nowhere", "CREATE S3 CONNECTION c READ_ONLY = 1", "LIST 's3://b'", "NOPE"):
        with pytest.raises(S3ConnError):
            list(session.run(f"CREATE S3 CONNECTION a VALIDATE = FALSE; DROP CONNECTION lake; USE CONNECTION a; {end}"))
        assert (_names(session), session.connections.default) == (["lake"], None)


def test_a_dropped_name_can_be_made_again_in_the_same_cell():
    """DROP frees the name."""
    dropped, made = plans_of("DROP CONNECTION lake; CREATE S3 CONNECTION LAKE", having("lake"))
    assert (dropped.name.text, made.name, made.or_replace) == ("lake", "LAKE", False)


def test_a_renamed_connection_is_found_by_its_new_name_only():
    """RENAME holds for the statements after it, and keeps options, dependents and the place in the order."""
    catalog = with_options("lake", COMMENT="x")
    renamed, altered = plans_of(
        "ALTER S3 CONNECTION lake RENAME TO pond; ALTER S3 CONNECTION pond SET REGION = 'r'", catalog
    )
    assert isinstance(renamed, plans.Rename)
    assert set(altered.options) == {"COMMENT", "REGION"}
    with pytest.raises(ConnectionNotFoundError):
        plans_of("ALTER S3 CONNECTION lake RENAME TO pond; USE CONNECTION lake", catalog)


def test_a_rename_may_change_the_case_only():
    """A connection is not in its own way."""
    (plan,) = plans_of("ALTER S3 CONNECTION lake RENAME TO LAKE", having("lake"))
    assert (plan.name, plan.new_name) == ("lake", "LAKE")


def test_a_rename_to_a_name_that_is_taken_is_refused_at_the_new_name():
    """Names are compared without case."""
    with pytest.raises(ConnectionExistsError, match="logs already exists") as caught:
        plans_of("ALTER S3 CONNECTION lake RENAME TO LOGS", having("lake", "logs"))
    assert caught.value.place.column == 36


def test_options_set_twice_in_a_cell_add_up():
    """Each ALTER is bound against what the one before it leaves."""
    *_, last = plans_of(
        "CREATE S3 CONNECTION x COMMENT = 'a'; ALTER S3 CONNECTION x SET REGION = 'r' COMMENT = 'b';"
        "ALTER S3 CONNECTION x UNSET REGION"
    )
    assert {name: bound.value for name, bound in last.options.items()} == {"COMMENT": "b"}


def test_a_key_pair_is_replaced_by_a_profile_in_two_statements():
    """What UNSET removed is no longer in the way of what SET gives."""
    catalog = with_options("x", AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b")
    with pytest.raises(BindError, match="AWS_PROFILE cannot be combined with AWS_ACCESS_KEY_ID") as caught:
        plans_of("ALTER S3 CONNECTION x SET AWS_PROFILE = 'p'", catalog)
    assert caught.value.hint == "The connection has AWS_ACCESS_KEY_ID: UNSET it first."
    *_, last = plans_of(
        "ALTER S3 CONNECTION x UNSET AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY;"
        "ALTER S3 CONNECTION x SET AWS_PROFILE = 'p'",
        catalog,
    )
    assert set(last.options) == {"AWS_PROFILE"}


# IF EXISTS, IF NOT EXISTS, OR REPLACE


def test_an_existing_name_is_refused_with_both_ways_out():
    """The error names OR REPLACE and IF NOT EXISTS."""
    with pytest.raises(ConnectionExistsError) as caught:
        plans_of("CREATE S3 CONNECTION Lake", having("lake"))
    assert "OR REPLACE" in caught.value.hint
    assert "IF NOT EXISTS" in caught.value.hint


def test_if_not_exists_leaves_an_existing_connection_alone():
    """It is no change, which says what is another there; nothing after it looks at the options given."""
    made, again, altered = plans_of(
        "CREATE S3 CONNECTION IF NOT EXISTS lake REGION = 'r'; CREATE S3 CONNECTION IF NOT EXISTS lake;"
        " ALTER S3 CONNECTION lake SET COMMENT = 'x'",
        having("lake"),
    )
    unchanged = "Operation resulted in no change: the connection lake already exists"
    assert made.message == f"{unchanged}, with another REGION: OR REPLACE changes that."
    assert again.message == f"{unchanged}."
    assert set(altered.options) == {"COMMENT"}


def test_if_not_exists_makes_a_missing_connection():
    """On a name that is free it is a plain CREATE."""
    (plan,) = plans_of("CREATE S3 CONNECTION IF NOT EXISTS lake")
    assert isinstance(plan, plans.Create)


def test_if_not_exists_still_refuses_wrong_options():
    """A statement that will change nothing must be right all the same."""
    with pytest.raises(BindError, match="READ_ONLY takes"):
        plans_of("CREATE S3 CONNECTION IF NOT EXISTS lake READ_ONLY = 'x'", having("lake"))


def test_or_replace_drops_the_old_options_and_keeps_the_dependents():
    """The new options are all there are; what depends on the connection still does."""
    catalog = used("lake", TABLE)
    (made,) = plans_of("CREATE OR REPLACE S3 CONNECTION LAKE COMMENT = 'x'", catalog)
    assert (made.or_replace, set(made.options)) == (True, {"COMMENT"})
    with pytest.raises(ConnectionInUseError):
        plans_of("CREATE OR REPLACE S3 CONNECTION lake; DROP CONNECTION lake", catalog)


@pytest.mark.parametrize(
    "text",
    [
        "DROP CONNECTION IF EXISTS lake",
        "ALTER S3 CONNECTION IF EXISTS lake SET COMMENT = 'x'",
        "ALTER S3 CONNECTION IF EXISTS lake RENAME TO x",
        "DROP S3 CONNECTION IF EXISTS lake CASCADE",
    ],
)
def test_if_exists_on_a_missing_name_is_no_change(text: str):
    """Nothing is there to change, and that is no error."""
    (plan,) = plans_of(text, having("logs"))
    assert plan.message == "Operation resulted in no change: no connection lake."


# Dependents


def test_a_connection_in_use_is_not_dropped():
    """The error is Upsolver's, with each usage and the statement that drops it."""
    with pytest.raises(ConnectionInUseError) as caught:
        plans_of("DROP CONNECTION lake", used("lake", TABLE, JOB))
    error = caught.value
    assert error.message == "Cannot delete connection due to usages: events load_events"
    assert error.usages == ("events", "load_events")
    assert error.notes == ("table events: DROP TABLE events;", "job load_events: DROP JOB load_events;")
    assert "CASCADE" in error.hint
    assert error.place.column == 17


def test_cascade_drops_a_connection_in_use():
    """CASCADE is the way to drop the dependents too."""
    (plan,) = plans_of("DROP CONNECTION lake CASCADE", used("lake", TABLE))
    assert plan.cascade is True


def test_a_session_drops_dependents_with_cascade_only():
    """DROP is refused while a table depends on the connection; CASCADE names what went with it."""
    session = offline_session("lake")
    session.connections.depend("lake", TABLE)
    with pytest.raises(ConnectionInUseError):
        list(session.run("DROP CONNECTION lake"))
    assert _names(session) == ["lake"]
    (message,) = session.run("DROP CONNECTION lake CASCADE")
    assert "table events" in str(message)
    assert _names(session) == []


# Which connection is meant


def test_using_names_the_connection():
    """USING wins over the default, and its case does not matter."""
    (plan,) = plans_of("SHOW BUCKETS USING LOGS", having("lake", "logs", default="lake"))
    assert plan.name == "logs"


def test_use_connection_holds_from_there_on():
    """Before USE the old default holds, after it the new one."""
    before, _, after = plans_of("EXPLORE; USE CONNECTION logs; EXPLORE", having("lake", "logs", default="lake"))
    assert (before.name, after.name) == ("lake", "logs")


def test_the_default_follows_a_rename():
    """USE CONNECTION means the connection, not its name."""
    *_, last = plans_of(
        "ALTER S3 CONNECTION lake RENAME TO pond; LIST 's3://bucket/'", having("lake", "logs", default="lake")
    )
    assert last.name == "pond"


def test_the_only_connection_is_meant_when_none_is_named():
    """Also when it is the last one left, or was made in this cell."""
    assert plans_of("EXPLORE", having("lake"))[0].name == "lake"
    assert plans_of("DROP CONNECTION logs; EXPLORE", having("lake", "logs", default="logs"))[-1].name == "lake"
    assert plans_of("CREATE S3 CONNECTION x; EXPLORE")[-1].name == "x"


@pytest.mark.parametrize(
    "text", ["LIST 's3://bucket/'", "SHOW BUCKETS", "EXPLORE", "CREATE TABLE t LOCATION 's3://b1c/'"]
)
def test_the_oldest_connection_is_meant_where_nothing_speaks_for_another(text):
    """A second connection breaks no statement that named none."""
    (plan,) = plans_of(text, having("lake", "logs", "vault"))
    assert getattr(plan, "name" if "TABLE" not in text else "connection") == "lake"


def test_no_connection_at_all_says_how_to_make_one():
    """The error names CREATE S3 CONNECTION and START SANDBOX."""
    with pytest.raises(ConnectionNotFoundError, match="there is no connection yet") as caught:
        plans_of("SHOW BUCKETS")
    assert "CREATE S3 CONNECTION" in caught.value.hint
    assert "START SANDBOX" in caught.value.hint


@pytest.mark.parametrize(
    "text", ["USE CONNECTION lak", "DROP CONNECTION lak", "EXPLORE USING lak", "DESCRIBE CONNECTION lak"]
)
def test_a_misspelt_connection_is_told_the_nearest(text: str):
    """A name within two edits is suggested."""
    with pytest.raises(ConnectionNotFoundError) as caught:
        plans_of(text, having("logs", "Lake"))
    assert caught.value.hint == "Did you mean Lake?"


# Reading


def test_a_listing_has_the_session_limit_unless_it_names_one():
    """LIMIT n is n, LIMIT ALL is ALL, and none is left to the session."""
    texts = (
        "LIST 's3://bucket/'",
        "LIST 's3://bucket/' LIMIT 7",
        "LIST 's3://bucket/' LIMIT 0",
        "LIST 's3://bucket/' LIMIT ALL",
    )
    assert [plans_of(text, having("x"))[0].limit for text in texts] == [None, 7, 0, "ALL"]


def test_a_location_is_exact():
    """Nothing of a location is normalised, decoded or stripped, from a literal or a variable."""
    hostile = "s3://bucket/ a//../%2F+\u00e9\t/"
    literal, variable = plans_of(f"LIST '{hostile}'; LIST $home", having("x"), Inputs({"home": hostile}))
    assert literal.location.uri == variable.location.uri == hostile


def test_a_variable_of_a_wrong_type_is_named_by_its_type():
    """What the variable holds is not repeated."""
    with pytest.raises(BindError, match="the variable holds int, but text was expected"):
        plans_of("LIST $count", having("x"), Inputs(VARIABLES))


# The sandbox


def test_start_sandbox_makes_its_connection_for_the_rest_of_the_cell():
    """The first cell of a tutorial binds as a whole."""
    *_, last = plans_of("START SANDBOX; USE CONNECTION sandbox; LIST 's3://acme-lake/'", having("lake"))
    assert last.name == "sandbox"


def test_stop_sandbox_drops_its_connection_for_the_rest_of_the_cell():
    """What STOP SANDBOX takes away is not there after it."""
    with pytest.raises(ConnectionNotFoundError):
        plans_of("STOP SANDBOX; USE CONNECTION sandbox", having("lake"))


@pytest.mark.parametrize("text", ["START SANDBOX", "STOP SANDBOX"])
def test_a_connection_of_one_s_own_called_sandbox_is_left_alone(text: str):
    """Neither statement replaces or drops what the user made."""
    with pytest.raises(ConnectionExistsError, match="a connection of yours"):
        plans_of(text, having("sandbox"))


def test_the_sandbox_s_own_connection_can_be_altered_and_started_again():
    """Its options are known by where they came from, also after an ALTER."""
    options = {"ENDPOINT": BoundValue("http://127.0.0.1:1", "START SANDBOX")}
    catalog = Connections([having("sandbox").there[0]._replace(options=options)])
    altered, started = plans_of("ALTER S3 CONNECTION sandbox SET COMMENT = 'x'; START SANDBOX", catalog)
    assert set(altered.options) == {"ENDPOINT", "COMMENT"}
    assert isinstance(started, statements.StartSandbox)


def test_the_sandbox_cannot_be_altered_before_it_runs():
    """An ALTER in the cell that starts it would forget the server's address and keys."""
    with pytest.raises(BindError, match="has no options before START SANDBOX has run"):
        plans_of("START SANDBOX; ALTER S3 CONNECTION sandbox SET COMMENT = 'x'")


# Places


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("SHOW CONNECTIONS", 1, 1),
        ("\n\n  SHOW BUCKETS", 3, 3),
        ("/* one */ LIST", 1, 11),
        ("  SHOW CREATE S3 CONNECTION x", 1, 3),
        (";;\n-- two\n EXPLORE", 3, 2),
        ("HELP", 1, 1),
        ("DESCRIBE CONNECTION x", 1, 1),
    ],
)
def test_a_plan_is_placed_at_the_first_word_of_its_statement(text: str, line: int, column: int):
    """Errors of execution point at where their statement begins."""
    (plan,) = plans_of(text, having("x"))
    place = plan.place()
    assert (place.line, place.column) == (line, column)


@pytest.mark.parametrize("statement", ["USE CONNECTION elsewhere"])
def test_of_many_connections_an_error_gives_the_number(statement: str):
    """Up to twenty connections are named; more are counted, and the statement that lists them is named."""
    few, many = ([f"one_of_{count}_{number}" for number in range(count)] for count in (20, 21))
    with pytest.raises(ConnectionNotFoundError, match=f"There are {few[0]}, .* and {few[-1]}\\."):
        plans_of(statement, having(*few))
    with pytest.raises(ConnectionNotFoundError, match="There are 21; SHOW CONNECTIONS; lists them"):
        plans_of(statement, having(*many))


def _filtered(name: str, *filters: str) -> Known:
    return Known(name, {"PATH_DISPLAY_FILTERS": BoundValue(tuple(map(Location.parse, filters)))})


@pytest.mark.parametrize("statement", ["LIST", "EXPLORE", "ANALYZE", "PREVIEW"])
def test_the_connection_whose_display_filters_hold_the_location_is_meant(statement):
    """Without USING it is found by them; where two hold it, the clause to add is in the hint, and runs."""
    there = Connections(
        [Known("plain", {}), _filtered("a", "s3://trusted/x/"), _filtered("b", "s3://other/", "s3://trusted")]
    )
    (plan,) = plans_of(f"{statement} 's3://other/x/y'", there)
    assert plan.name == "b"
    (plan,) = plans_of(f"{statement} 's3://trusted/y/z'", there)
    assert plan.name == "b"
    with pytest.raises(ConnectionNotFoundError) as caught:
        plans_of(f"{statement} 's3://trusted/x/z'", there)
    assert caught.value.hint == "Add USING a, or USING b."
    assert caught.value.place.column == 1
    (plan,) = plans_of(f"{statement} 's3://trusted/x/z' USING a", there)
    assert plan.name == "a"
    (plan,) = plans_of(f"{statement} 's3://trusted-evil/x'", there)
    assert plan.name == "plain"
