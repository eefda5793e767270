"""How fast Nightferry is, next to something else that does the same in the same run."""
