"""What a rebuild gives back and what not: each table of the ledger stands here, by its name.

``nf rebuild`` prints it. A test holds it against the database's own list of tables and columns, and
compares all that is said to come back.
"""

from collections.abc import Mapping

# Tables whose rows come out of the packages; of some of them not all rows: FROM_BACKUP says which.
GIVEN_BACK = (
    "raw_data_package", "package_member", "raw_data_file", "file_header", "executed_obs_unit",
    "obs_unit", "filed_file", "data_product", "data_product_source", "physical_copy", "instrument",
)  # fmt: skip

# Columns of rebuilt rows that no package knows, and why.
NOT_WRITTEN: Mapping[str, Mapping[str, str]] = {
    "raw_data_file": {
        "ctime_ns": "of the instrument's disk, not of the file: the next sweep there writes it",
        "inode": "of the instrument's disk, not of the file: the next sweep there writes it",
        "quality": "what people said: it comes from the backup",
    },
    "raw_data_package": {
        "packed": "known only after its document was fixed: the time of its planning stands for it",
        "priority": "what people said: it comes from the backup",
    },
    "executed_obs_unit": {
        "quality": "what people said: it comes from the backup",
    },
    "data_product": {
        "begun": "only when it had been handed in is written: that time stands for it",
        "staging": "requests for staging are in no package",
    },
    "physical_copy": {
        "id": "a copy is made after its package is closed: it gets a new id",
        "created": "as its id",
        "changed": "as its id",
    },
}

# What no archive holds: it comes from the backup of the database. With the tables that it is in.
FROM_BACKUP: Mapping[str, tuple[str, ...]] = {
    "holds on nights, packages and files": ("hold",),
    "corrections of headers, and columns derived again since a package was planned": (
        "header_correction",
    ),
    "quality, its notes, and owners that people changed since": ("quality_note",),
    "files that were lost, and the losses that were accepted": ("lost_file",),
    "quarantine and blocked work, with what people decided of them": ("quarantine", "blocked"),
    "names that observations were filed with and whose files never came": ("filed_file",),
    "targets and their other names": ("target", "target_alias"),
    "calibrations and their star tables, night solutions, master frames, reduced data": (
        "calibration", "calibration_table", "night_solution", "night_exposure", "master_frame",
        "master_member", "reduced_datum",
    ),
    "requests for staging, and what is staged": ("staging", "staging_member", "staged_package"),
    "observations and data products of which no file is in an archive; packages that were "
    "dissolved": (
        "executed_obs_unit", "obs_unit", "data_product", "data_product_source", "raw_data_package",
        "package_member",
    ),
    "copies at other places, and those that were missing, corrupt or deleted": ("physical_copy",),
    "verifications: every rebuilt copy is read again": ("verification",),
    "the history of events, work, deletions, stops, transfers, audits, backups and canaries": (
        "event", "job_done", "deletion", "deletion_copy", "deletion_stop", "data_transfer_package",
        "data_transfer_member", "audit_result", "backup", "canary",
    ),
    "adopted files, which are in no package: nf adopt registers them again, under new ids": (
        "raw_data_file", "file_header",
    ),
    "open work: files that were in no package yet are found again where they lie": (
        "raw_data_file", "file_header", "job",
    ),
    "the rights of hosts, where they have roles: nf roles gives them again": (
        "host_role", "host_place",
    ),
    "catalogues of stars: nf catalog loads them again": (
        "catalog", "catalog_load", "catalog_star",
    ),
}  # fmt: skip

# What needs no backup, by whence it comes.
ELSEWHERE: Mapping[str, tuple[str, ...]] = {
    "observatory.yaml, by nf config apply, and the markers": (
        "site", "observatory", "telescope", "instrument_module", "data_location", "route",
        "observing_program", "program_archive", "policy",
    ),
    "nf migrate": ("schema_migration", "incarnation"),
    "what the daemons see when they run again": (
        "heartbeat", "lease", "breaker", "location_state", "source_directory", "space_measured",
        "scrub_pace", "temporary_sweep",
    ),
}  # fmt: skip
