"""The words of nf cal: one file each."""
