"""This host's units, laid where systemd looks: a plan of steps, and the doing of them.

What is laid is what the program ships (units/, with this installation's own paths) and, for each
daemon that ``nightferry.yaml`` names under ``runs:``, a drop-in made from that file. The plan says
only what is not so already, so that doing it twice does nothing. A person's own drop-ins, the
configuration and all data are never touched.
"""

from nightferry.installing.plan import Step, Write, installation, removal
from nightferry.installing.run import do

__all__ = ["Step", "Write", "do", "installation", "removal"]
