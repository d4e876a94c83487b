"""Kills ingestion at any instant and looks at what is left."""
