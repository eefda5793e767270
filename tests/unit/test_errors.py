"""Errors cross from the worker to its daemon, which acts on what they are."""

import pickle

import pytest
from nightferry.errors import GiveUp, NightferryError, Retry, Unavailable
from nightferry.packaging.manifest import NotPackable
from nightferry.packaging.pack import MemberChanged


@pytest.mark.parametrize(
    "error",
    [
        GiveUp("packed differently", "it has other bytes"),
        NotPackable("two files share a name"),
        MemberChanged("d1.fits", "grown"),
        Unavailable("archive-a", "not mounted"),
        Retry("the disk is full"),
    ],
)
def test_an_error_arrives_with_its_words_and_its_reason(error: NightferryError) -> None:
    arrived = pickle.loads(pickle.dumps(error))
    assert str(arrived) == str(error)
    assert getattr(arrived, "reason", None) == getattr(error, "reason", None)
    assert getattr(arrived, "what", None) == getattr(error, "what", None)
