"""Nightferry: from the instrument's disk to a verified archive."""

__version__ = "0.1.0"
