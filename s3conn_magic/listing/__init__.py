"""Pages of a bucket turned into columns: `Listing` lists everything below a prefix, `fetch_page` one page."""
