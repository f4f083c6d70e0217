"""Whatever a server does wrong, a listing is complete and exact, or an error that holds what had arrived."""

from __future__ import annotations

import pytest
from fault_server import ANSWERS, Fault, connection_with
from listing_targets import SignedTarget
from synthetic import Bucket

from s3conn_magic.errors import IncompleteListingError, S3ConnError
from s3conn_magic.listing import Listing, fetch_page
from s3conn_magic.transport import Transport

KEYS = sorted(f"k/{folder}/{number:03d}" for folder in "abcd" for number in range(30))
PLACES = {"first": KEYS[0], "middle": KEYS[len(KEYS) // 2], "last": KEYS[-1]}

# What one occurrence leads to: "exact" by another try, or "error". Twice in a row is never anything but an error
# or exact; what never happens is a listing that is short.
ONCE = dict.fromkeys(ANSWERS, "exact") | {
    "403 AccessDenied": "error",
    "404 NoSuchBucket": "error",
    "301 without a region": "error",
    "302 to a page": "error",
    "204": "error",
    "206 of half": "error",
    "200 with AccessDenied": "error",
    "200 with an error without a code": "error",
}
# What never ends: the server sends these forever, and nothing but another order of asking can help.
# Where an answer does not say whether more follows, or how to ask for it, the listing goes on behind its last key.
SAID_BY_KEYS = {"truncated without a token", "truncated not said"}
ALWAYS = dict.fromkeys(ANSWERS, "error") | dict.fromkeys({"rows in no order", *SAID_BY_KEYS}, "exact")
SCENARIOS = frozenset(ONCE)


def _listed(fault: Fault, serve, connections: int) -> tuple[Listing, SignedTarget]:
    target = SignedTarget(serve(Bucket(KEYS), connection=connection_with(fault)))
    target.transport = Transport(connect_timeout=0.3, read_timeout=0.15)
    return Listing(target, "k/", connections=connections, page_keys=10), target


def test_every_fault_of_the_server_is_classified():
    """A fault that is added to the server fails here until it is said what a listing makes of it."""
    assert frozenset(ANSWERS) == SCENARIOS
    assert len(ANSWERS) > 50


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("connections", [1, 8])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", sorted(ONCE))
def test_a_fault_that_passes(name, place, connections, serve):
    """A fault that occurs once is overcome by another try, or is an error; never a short listing."""
    fault = Fault(name, f">{PLACES[place]}<", times=1)
    listing, _ = _listed(fault, serve, connections)
    if ONCE[name] == "exact":
        assert listing.collect().column("key").to_pylist() == KEYS
    else:
        with pytest.raises(S3ConnError) as caught:
            listing.collect()
        _check_rows(caught.value)
    assert fault.hits == 1


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("connections", [8])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", sorted(ALWAYS))
def test_a_fault_that_stays(name, place, connections, serve):
    """A fault that stays is an error with the rows so far, after at most five tries a page; never a short listing."""
    fault = Fault(name, f">{PLACES[place]}<")
    listing, target = _listed(fault, serve, connections)
    if ALWAYS[name] == "exact":
        assert listing.collect().column("key").to_pylist() == KEYS
        return
    with pytest.raises(S3ConnError) as caught:
        listing.collect()
    _check_rows(caught.value)
    assert fault.hits >= 1
    tries = [target.asked.count(query) for query in target.asked]
    assert max(tries) <= 10  # five, and five more where the listing was begun again page by page


def _check_rows(error: S3ConnError) -> None:
    if isinstance(error, IncompleteListingError):
        rows = error.rows_so_far.column("key").to_pylist()
        assert error.reason
        assert rows == sorted(set(rows))
        assert set(rows) < set(KEYS)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", sorted(ALWAYS))
def test_a_single_page_with_a_fault(name, serve):
    """One page asked for by itself obeys the same rules, but for the order that only matters between pages."""
    fault = Fault(name, f">{KEYS[0]}<")
    target = SignedTarget(serve(Bucket(KEYS), connection=connection_with(fault)))
    target.transport = Transport(connect_timeout=0.3, read_timeout=0.15)
    if name in {"rows in no order", "tokens in a circle", *SAID_BY_KEYS}:
        assert len(fetch_page(target, prefix="k/", delimiter="", max_keys=10)) >= 10
        return
    with pytest.raises(S3ConnError):
        fetch_page(target, prefix="k/", delimiter="", max_keys=10)
    assert fault.hits >= 1


@pytest.mark.usefixtures("impatient")
def test_pages_in_no_order_cannot_be_handed_out_twice(serve):
    """A stream of pages that turns out to have no order is an error: rows handed out cannot be taken back."""
    listing, _ = _listed(Fault("rows in no order", f">{PLACES['last']}<"), serve, 8)
    with pytest.raises(IncompleteListingError, match="without an order"):
        list(listing.pages())


@pytest.mark.usefixtures("impatient")
def test_pages_in_no_order_come_again_to_who_can_begin_again(serve):
    """Who takes back what came is given all pages once more, one after the other, and each row of them once."""
    target = SignedTarget(
        serve(Bucket(KEYS), connection=connection_with(Fault("rows in no order", f">{PLACES['last']}<")))
    )
    listing = Listing(target, "k/", page_keys=10)
    assert len(list(listing.pages(again=True))) > len(KEYS) // 10
    assert listing.table()["key"].to_pylist() == KEYS
