from __future__ import annotations

import pytest
import torch
from torch import Tensor, fx, nn

from deepface.runtime.execution.fusion import FusedConv2d
from deepface.runtime.execution.graph import for_inference

CPU = torch.device("cpu")


class Residual(nn.Module):
    """Every pattern that is folded or packed, and some that look alike but must not be."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.pre = nn.BatchNorm2d(8)
        self.deep = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.shared = nn.Conv2d(8, 8, 1)
        self.short = nn.Conv2d(8, 8, 1)
        self.dense = nn.Sequential(nn.Linear(8, 5, bias=False), nn.BatchNorm1d(5))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = (x + self.norm(self.deep(self.pre(x))) * 0.3).relu()
        x = self.short(x) + self.shared(x) * 0.5
        both = self.shared(x)
        x = (both + both.mean((2, 3), keepdim=True)).relu() + both
        out: Tensor = self.dense(x.mean((2, 3)))
        return out


@pytest.fixture
def network() -> Residual:
    torch.manual_seed(0)
    module = Residual().eval()
    for part in module.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            assert part.running_mean is not None and part.running_var is not None
            part.running_mean.normal_()
            part.running_var.uniform_(0.01, 2)
            nn.init.uniform_(part.weight, 0.5, 2)
            nn.init.normal_(part.bias)
    return module


@pytest.mark.parametrize("size", [12, 17])
@pytest.mark.parametrize("count", [1, 3])
def test_the_results_stay(network: Residual, count: int, size: int) -> None:
    x = torch.randn(count, 3, size, size)
    with torch.inference_mode():
        wanted = network(x)
        graph = for_inference(network.train(), (3, 12, 12), CPU, torch.float32)
        found = graph(x)
    assert not any(parameter.requires_grad for parameter in graph.parameters())
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_what_can_be_folded_is(network: Residual) -> None:
    ready = for_inference(network, (3, 12, 12), CPU, torch.float32)
    norms = [m for m in ready.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]
    assert len(norms) == 1  # the one that no convolution comes before
    assert sum(isinstance(part, FusedConv2d) for part in ready.modules()) == 5
    assert not any(isinstance(part, (nn.Conv2d, nn.ReLU)) for part in ready.modules())


def test_the_whole_graph_is_looked_through_once(
    network: Residual, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not once a convolution, which took most of the time that networks took to be built."""
    looks: list[None] = []
    look = fx.Graph.lint

    def counted(graph: fx.Graph) -> None:
        looks.append(None)
        look(graph)

    monkeypatch.setattr(fx.Graph, "lint", counted)
    for_inference(network, (3, 12, 12), CPU, torch.float32)
    assert len(looks) <= 1


def test_bfloat16_stays_close(network: Residual) -> None:
    x = torch.randn(2, 3, 12, 12)
    with torch.inference_mode():
        wanted = network(x)
        ready = for_inference(network, (3, 12, 12), CPU, torch.bfloat16)
        found = ready(x.bfloat16())
    assert found.dtype == torch.bfloat16
    assert torch.cosine_similarity(found.float(), wanted).min() > 0.99


class Reused(nn.Module):
    """Sums whose addends are needed again, or are views: overwriting them would show."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(4))
        self.same = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        first = self.a(x)
        late = self.b(first)
        view = self.same(first)
        total = first + self.c(x)
        total = total + late + view
        both = self.d(x) + x
        out: Tensor = total.relu() + both + x + self.d(both) * 0.5 + both
        return out


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nothing_is_overwritten_that_is_still_needed(dtype: torch.dtype) -> None:
    torch.manual_seed(2)
    network, x = Reused().eval(), torch.randn(2, 4, 9, 9)
    with torch.inference_mode():
        wanted, given = network(x), x.clone()
        found = for_inference(network, (4, 9, 9), CPU, dtype)(x.to(dtype))
    torch.testing.assert_close(x, given)
    tolerance = 1e-5 if dtype == torch.float32 else 0.1
    torch.testing.assert_close(found.float(), wanted, rtol=tolerance, atol=tolerance)


class Padded(nn.Module):
    """TensorFlow's padding for an odd kernel with stride 2 on an even size."""

    def __init__(self, kernel: int, groups: int) -> None:
        super().__init__()
        before, after = (kernel - 2) // 2, (kernel - 1) // 2
        self.pad = nn.ZeroPad2d((before, after, before, after))
        self.conv = nn.Conv2d(4, 8, kernel, 2, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(self.pad(x)).relu()
        return out


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("groups", [1, 4])
def test_unequal_padding_goes_into_the_kernel(kernel: int, groups: int) -> None:
    network, x = Padded(kernel, groups).eval(), torch.randn(2, 4, 12, 10)
    with torch.inference_mode():
        wanted = network(x)
        ready = for_inference(network, (4, 12, 10), CPU, torch.float32)
        torch.testing.assert_close(ready(x), wanted, check_stride=False)
    assert isinstance(ready, torch.fx.GraphModule)
    assert [node.op for node in ready.graph.nodes] == ["placeholder", "call_module", "output"]
