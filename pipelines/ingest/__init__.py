"""The way of a document: fetch → parse → chunk → embed → index. `run.py` reads as that path."""
