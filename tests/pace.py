"""What takes its time on purpose."""


def took(seconds: float, meant: float) -> bool:
    """Held from below; a machine that is busy may need half as long again."""
    return 0.88 * meant < seconds < 1.6 * meant
