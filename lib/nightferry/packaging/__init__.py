"""A package: the files of a night in a BagIt bag, in one plain tar, the same bytes every time.

manifest  what a package holds (the document), as data and as ``nightferry.json``
canonical JSON in one form
naming    names: of a package, of its place in an archive, and of a file inside it
tar       one tar header, written and explained
layout    where every byte of a package will be, before a file is touched
pack      the writer
read      the document, a check, or one file, out of a package
unpack    the files of a package in a fresh directory
sidecar   the text beside a package

docs/package-format.md describes the format for a reader who has nothing of ours.
"""
