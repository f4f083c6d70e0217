"""What is below a location: `grouping` labels the rows of a page, `summary` adds the pages up, `scan` lists them."""
