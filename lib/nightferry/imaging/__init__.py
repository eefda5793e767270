"""Images: raw frames reduced, their stars measured, their positions found.

What comes out is what tables of measured stars hold too, so that one zero point serves both.
Nothing here knows the database, a daemon or a command.
"""
