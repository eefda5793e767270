"""The daemons: one file each. The loop that they share is nightferry.daemon."""
