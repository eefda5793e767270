"""Photometry: measured stars, catalogue stars, and the zero point between them.

Nothing here knows the database, a daemon or a command; it is handed numbers and gives numbers back.
"""
