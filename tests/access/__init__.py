"""Who finds what: every reader, every document and every way of reading, against who was allowed to."""
