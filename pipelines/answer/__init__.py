"""The way of a question: gateway → workflow → retrieve → generate → stream. `run.py` reads as that path."""
