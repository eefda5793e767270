"""What is chosen where nobody says. A daemon knows it before it has a star to measure."""

# The catalogues, the first that serves before the others.
PREFERRED = ("gaia-dr3", "refcat2", "ps1", "gaia-dr2", "apass", "landolt")
STARS = 5  # with fewer there is no zero point, unless somebody asked for it
MASTER_DAYS = 7  # from a frame to the night of its masters, at most
