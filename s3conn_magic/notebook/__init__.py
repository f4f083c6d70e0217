"""IPython integration: the magics, completion, colours, and redaction of the history."""
