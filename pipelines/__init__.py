"""Ragline: a private chat over your own documents.

document → parse → chunk → embed → index
question → gateway → workflow → retrieve → generate → stream
"""

__version__ = "0.1.0"
