"""``python -m nightferryd NAME [options]``: a daemon by its name, from a checkout."""

import sys
from importlib import import_module

if __name__ == "__main__":
    name = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if not name.isidentifier():
        sys.exit("usage: python -m nightferryd NAME [--config FILE] [--once]")
    sys.argv[0] = f"nightferry-{name}"
    import_module(f"nightferryd.{name}").main()
