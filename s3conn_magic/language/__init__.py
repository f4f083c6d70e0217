"""Parse the text of a cell and bind its statements to plans."""
