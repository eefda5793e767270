"""One file that the database refuses holds up no other."""

from tests.daemons.ground import Ground

_REFUSE = """
CREATE FUNCTION refuse_one() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'no row for this one' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER refuse_one BEFORE INSERT ON raw_data_file FOR EACH ROW
  WHEN (NEW.path = 's0003.fits') EXECUTE FUNCTION refuse_one();
"""


def test_a_file_that_cannot_be_registered_is_quarantined_and_the_others_are_not(
    two_sites: Ground,
) -> None:
    two_sites.db.run(lambda tx: tx.driver.execute(_REFUSE.encode()))
    two_sites.frames(6)
    two_sites.ingest()
    assert two_sites.one("SELECT count(*) FROM raw_data_file") == 5
    (odd,) = two_sites.ask("SELECT path, reason FROM quarantine WHERE released IS NULL")
    assert odd.path == "s0003.fits"
    assert "no row for this one" in odd.reason
