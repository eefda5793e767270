"""A cut that is known to have cut something: what it happened to was on its way, and went on."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.sites.three import ThreeSites

_MORE = 100_000  # bytes: more than ssh says for itself


@contextmanager
def cut(scene: ThreeSites, part: float = 0.4) -> Iterator[None]:
    """What happens within happens while a transfer is running and its bytes come, once ``part`` of
    the night has left. Bytes have to come afterwards as well, before the night is safe."""
    network = scene.ground.network
    scene.await_part(part)
    scene.wait_for(lambda: is_crossing(scene), "a transfer under way")
    came = network.came()
    scene.wait_for(lambda: network.came() > came, "bytes that cross")
    assert is_crossing(scene), "the cut came when all was across"
    yield
    before = network.came()
    scene.await_safe()
    assert network.came() > before + _MORE, "the cut came when all was across"


def is_crossing(scene: ThreeSites) -> bool:
    return bool(scene.ask("SELECT FROM job WHERE kind = 'transfer' AND state = 'running'"))
