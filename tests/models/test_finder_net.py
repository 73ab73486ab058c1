"""The network: shapes, reach, and that folding changes nothing."""

import pytest
import torch

from napari_cytodino.finding.network import REACH, STRIDE
from napari_cytodino.models.finder_net import FinderNet, fuse


def trained_a_little(width=8):
    """Return a network whose normalisations are not those it begins with."""
    torch.manual_seed(0)
    net = FinderNet(width)
    for _ in range(3):
        net(torch.randn(2, 3, 64, 64) + 0.5)
    return net.eval()


@pytest.mark.parametrize("shape", [(8, 8), (96, 64)])
def test_shapes(shape):
    maps = trained_a_little()(torch.randn(2, 3, *shape))
    for plane in (maps.white, maps.red, maps.nucleus, maps.cell):
        assert plane.shape == (2, *shape)
    assert maps.size.shape == (2, 2, *shape)
    assert maps.scale.shape == (2, 2, shape[0] // STRIDE, shape[1] // STRIDE)


def test_folding_changes_nothing():
    net, given = trained_a_little(), torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        before = net(given)
        after = fuse(net)(given)
    for one, other in zip(before, after, strict=True):
        assert torch.allclose(one, other, atol=1e-4)
    assert not any("BatchNorm" in type(m).__name__ for m in net.modules())


def test_nothing_beyond_its_reach_counts():
    net, side = fuse(trained_a_little()), 256
    one = torch.randn(1, 3, side, side)
    other = one.clone()
    other[..., :128] = torch.randn(1, 3, side, 128)
    with torch.inference_mode():
        a, b = net(one), net(other)
    far = slice(128 + REACH, None)
    for name in ("white", "red", "nucleus", "cell"):
        assert torch.allclose(
            getattr(a, name)[..., far], getattr(b, name)[..., far], atol=1e-5
        )
    assert not torch.allclose(a.white[..., 128:136], b.white[..., 128:136], atol=1e-3)
