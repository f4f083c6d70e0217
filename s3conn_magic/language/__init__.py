"""Text of a cell turned into bound plans."""
