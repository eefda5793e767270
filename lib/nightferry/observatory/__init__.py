"""observatory.yaml: what the observatory is. Only ``nf config`` reads it; all others read rows."""

from nightferry.observatory.check import Finding, Weight, check
from nightferry.observatory.document import Observatory, load
from nightferry.observatory.rows import Change, apply, diff

__all__ = ["Change", "Finding", "Observatory", "Weight", "apply", "check", "diff", "load"]
