"""
title: Hold no vectors
description: Lets knowledge bases take files without a vector database here, because Ragline holds the vectors.
version: 1.0.0
required_open_webui_version: 0.12.4
"""

# Open WebUI asks its vector database for the passages of each file that is put into a knowledge base, shared or
# deleted, and fails if it has none, even where its own retrieval is off (seen in 0.12.4). The one it is given here
# never holds anything. An Event function is loaded at Open WebUI's start, before anything is uploaded.

from open_webui.retrieval.vector import factory
from open_webui.retrieval.vector.main import VectorDBBase


class NoVectors(VectorDBBase):
    def has_collection(self, collection_name):
        return False

    def search(self, collection_name, vectors, filter=None, limit=10):  # noqa: A002  its interface
        return None

    def query(self, collection_name, filter, limit=None):  # noqa: A002
        return None

    def get(self, collection_name):
        return None

    def insert(self, collection_name, items):
        raise RuntimeError("Ragline holds the vectors: leave BYPASS_EMBEDDING_AND_RETRIEVAL on.")

    upsert = insert

    def delete(self, collection_name, ids=None, filter=None):  # noqa: A002
        pass

    def delete_collection(self, collection_name):
        pass

    def reset(self):
        pass


factory.VECTOR_DB_CLIENT = NoVectors()


class Event:
    async def event(self, event):
        pass
