"""``nf help``: one page. Safe? Where? Why? Stop!"""

import click

PAGE = """\
Nightferry: where is every file of the night, is it safe, and why is it there or gone?

  Is it safe?    nf night                 tonight; or a date: nf night 2024-05-12
                 nf night --unsafe 30     the files that are not, each with its reason
                 nf safe DIR              may this folder, on any disk, be erased?
  Does it run?   nf status                stages, daemons, places, and what to type next
                 nf check                 one line a check, with what to do; --nagios for a monitor
                 nf jobs                  open work; what failed for good, and how to release it
                 nf canary                a small file to every archive and back, with its times
                 nf events -f             the history of everything, as it comes; a command for each
                 nf routes                links: what waits, and since when one is broken
                 nf scrub                 is every archived copy read again in time?
  Where? Why?    nf why FILE              every copy, and why it is still there or gone
                 nf find --object M13     files by night, instrument, object, type, state
                 nf get FILE -o OUT       one file back, out of its package, verified
                 nf stage add --night N   whole nights or targets back, unpacked, for a while
                 nf return DIR            results into the archives, with what they were made from
  Stop!          nf reap stop REASON      nothing is deleted any more, on any host
                 nf hold add NIGHT REASON nothing of this night is deleted
                 nf reap plan             what would be deleted, and what stands in the way

  Magnitudes     nf cal run FILE          zero points of measured stars; nf cal list, nf cal show
                 nf lightcurve TARGET     what is known of a target; nf target add, nf catalog load

  A person's word
                 nf lost                  a file is gone for good: list, accept
                 nf quarantine            what could not be captured faithfully: list, release
                 nf quality, nf owner     what a frame is worth; who may see it
                 nf headers               correct what headers say, derive columns again
                 nf obs                   tell of an observation and its files
  The site       nf config check|diff|apply, nf locations, nf adopt, nf migrate, nf roles
                 nf install               the units of this host: a plan, then --apply
                 nf audit                 after a restore: does the ledger agree with the disks?
                 nf backup LOCATION       the database in one file, proven by restoring it
                 nf rebuild ARCHIVE       the ledger is gone: make it again from the archives

Every command tells more with --help, and takes --json.
Exit codes: 0 yes or done, 1 no, 2 cannot tell or cannot do, 3 usage or configuration,
4 the database does not answer.
"""


@click.command()
def command() -> None:
    """This page."""
    click.echo(PAGE, nl=False)
