"""Measures retrieval on any folder of documents: questions → index → run → score → compare → report, plot."""
