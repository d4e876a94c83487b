"""Tests with the real embedding model: they need the weights and torch, which are installed with the stack."""
