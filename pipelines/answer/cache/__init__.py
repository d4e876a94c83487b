"""Answers once what is asked several times."""
