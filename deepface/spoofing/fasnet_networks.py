"""MiniFASNetV2 and MiniFASNetV1SE.

Minivision, Silent-Face-Anti-Spoofing, https://github.com/minivision-ai/Silent-Face-Anti-Spoofing
(Apache-2.0): pruned MobileFaceNets for 80x80 faces. Module names are those of the published
``.pth`` files without their ``module.`` prefix.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from deepface.recognition.conv_bn import conv_bn

# Channels after pruning: the first two layers; then for each stage the expanded widths of its
# blocks (the width that blocks of a stage agree on is 64 or 128); then the last two layers.
_V2 = ((103,), (13, 13, 13, 13), (231,), (231, 52, 26, 77, 26, 26), (308,), (26, 26))
_V1SE = ((103,), (13, 26, 13, 52), (231,), (154, 52, 26, 52, 26, 26), (308,), (26, 26))


class _SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // 4, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels // 4)
        self.fc2 = nn.Conv2d(channels // 4, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.bn1(self.fc1(x.mean((2, 3), keepdim=True))).relu()
        scaled: Tensor = x * self.bn2(self.fc2(gate)).sigmoid()
        return scaled


class _DepthWise(nn.Module):
    """Expand, filter per channel, project; ``residual`` blocks keep size and width."""

    def __init__(
        self,
        inputs: int,
        expanded: int,
        outputs: int,
        residual: bool = False,
        squeeze: bool = False,
    ) -> None:
        super().__init__()
        stride = 1 if residual else 2
        self.conv = conv_bn(inputs, expanded, 1, prelu=True)
        self.conv_dw = conv_bn(expanded, expanded, 3, stride, 1, groups=expanded, prelu=True)
        self.project = conv_bn(expanded, outputs, 1)
        self.residual = residual
        self.se_module = _SqueezeExcite(outputs) if squeeze else None

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project(self.conv_dw(self.conv(x)))
        if self.se_module is not None:
            out = self.se_module(out)
        return x + out if self.residual else out


class _Residuals(nn.Module):
    """Residual blocks of one width; with ``squeeze`` the last one has squeeze-and-excite."""

    def __init__(self, width: int, expanded: Sequence[int], squeeze: bool) -> None:
        super().__init__()
        last = len(expanded) - 1
        self.model = nn.Sequential(
            *(
                _DepthWise(width, e, width, residual=True, squeeze=squeeze and i == last)
                for i, e in enumerate(expanded)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.model(x)
        return out


class MiniFasNet(nn.Module):
    """``(N, 3, 80, 80)`` BGR in [0, 255] -> logits ``(N, 3)``; class 1 is a real face."""

    def __init__(self, stages: Sequence[Sequence[int]], squeeze: bool) -> None:
        super().__init__()
        conv_23, conv_3, conv_34, conv_4, conv_45, conv_5 = stages
        self.conv1 = conv_bn(3, 32, 3, 2, 1, prelu=True)
        self.conv2_dw = conv_bn(32, 32, 3, 1, 1, groups=32, prelu=True)
        self.conv_23 = _DepthWise(32, conv_23[0], 64)
        self.conv_3 = _Residuals(64, conv_3, squeeze)
        self.conv_34 = _DepthWise(64, conv_34[0], 128)
        self.conv_4 = _Residuals(128, conv_4, squeeze)
        self.conv_45 = _DepthWise(128, conv_45[0], 128)
        self.conv_5 = _Residuals(128, conv_5, squeeze)
        self.conv_6_sep = conv_bn(128, 512, 1, prelu=True)
        self.conv_6_dw = conv_bn(512, 512, 5, groups=512)
        self.linear = nn.Linear(512, 128, bias=False)
        self.bn = nn.BatchNorm1d(128)
        self.prob = nn.Linear(128, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.conv_23(self.conv2_dw(self.conv1(x)))
        x = self.conv_34(self.conv_3(x))
        x = self.conv_45(self.conv_4(x))
        x = self.conv_6_dw(self.conv_6_sep(self.conv_5(x)))
        logits: Tensor = self.prob(self.bn(self.linear(x.flatten(1))))
        return logits


def mini_fasnet_v2() -> MiniFasNet:
    """The network for crops of 2.7 times the box."""
    return MiniFasNet(_V2, squeeze=False)


def mini_fasnet_v1se() -> MiniFasNet:
    """The network for crops of 4 times the box."""
    return MiniFasNet(_V1SE, squeeze=True)


def layers_in_order(network: nn.Module) -> list[str]:
    """The layers with weights, as a Keras file has them."""
    return [
        name
        for name, module in network.named_modules()
        if any(True for _ in module.parameters(recurse=False))
    ]
