"""Convolutional nets from lists of layers, and the architectures that have names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log2

import torch
from torch import Tensor, nn
from torch.nn import functional

from fmkit.errors import InputError

from .activations import ACTIVATIONS
from .augmentation import Augmentation
from .dropout import Dropout2d
from .layers import LayerSettings
from .normalization import BatchNorm2d
from .pictures import Shape
from .training import Net
from .whitening import whitening_filters

LAYERS = """"whiten 2", "conv 32", "conv 32 5", "conv 32 3 2", "residual 64", "residual 64 2", "pool", "pool 3", \
"pool all", "mean all" and "dense 128\""""
LARGE = 48  # pixels a side, from which on the first layer takes every second place alone
LAST_SIDE = 4  # pixels a side that are left, about, before the last pooling
SHRINK_OUTPUTS = 1 / 9  # of the last layer's sums, so that it takes the learning rate of the others


def classic(shape: Shape, channels: Sequence[int] | None) -> list[str]:
    """The textbook's: convolution and pooling, once more, and dense units (Y. LeCun et al., 1998)."""
    return [*(layer for width in channels or (32, 64) for layer in (f"conv {width} 5", "pool")), "dense 128"]


def airbench(shape: Shape, channels: Sequence[int] | None) -> list[str]:
    """Keller Jordan's airbench94 (2024), narrowed; large pictures get more groups, and a first layer with a stride."""
    side, n_channels = min(shape[:2]), shape[2]
    size = 2 if n_channels > 1 else 3
    stride = 2 if side >= LARGE else 1
    n_groups = max(1, round(log2(side / stride / LAST_SIDE)))
    if channels is None:
        channels = [*(24, 64, 128)[:n_groups], *[128] * (n_groups - 3)]
    groups = [layer for width in channels for layer in (f"conv {width}", "pool", f"conv {width}")]
    return [f"whiten {size} {stride}", *groups, "pool all"]


def resnet(shape: Shape, channels: Sequence[int] | None) -> list[str]:
    """A residual net (K. He et al., CVPR 2016): a convolution, a block a width, each at half the size of the last."""
    first, *others = channels or (32, 64, 128)
    begin = [f"conv {first} 3 2", "pool"] if min(shape[:2]) >= LARGE else [f"conv {first}"]
    return [*begin, f"residual {first}", *(f"residual {width} 2" for width in others), "mean all"]


ARCHITECTURES: dict[str, Callable[[Shape, Sequence[int] | None], list[str]]] = {
    "airbench": airbench,
    "classic": classic,
    "resnet": resnet,
}


class ConvNet(Net):
    """Layers over pictures, with augmentation before them in training, and means over many views after it.

    Parameters
    ----------
    layers : sequence of str
    shape : tuple of three int
        Of a picture: height, width and channels.
    n_outputs : int
    settings : LayerSettings
    augmentation : Augmentation
    many_views : bool
        Predictions are the mean over what the augmentation does: with the picture's mirror image, and, but for boxes,
        half of it with the picture moved by a pixel to either corner (K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a
        single GPU", 2024).
    has_box : bool
        The last four outputs are a box, and so are the last four targets: left, top, right and bottom, as shares of the
        sides; outputs are their log odds.
    """

    def __init__(
        self,
        layers: Sequence[str],
        shape: Shape,
        n_outputs: int,
        settings: LayerSettings,
        augmentation: Augmentation,
        many_views: bool = False,
        has_box: bool = False,
    ) -> None:
        super().__init__()
        self.augmentation, self.many_views, self.has_box = augmentation, many_views, has_box
        self.layers = _stack(layers, shape, n_outputs, settings)

    def augmented(self, batch: tuple[Tensor, ...], targets: Tensor, rows: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Pictures flipped, shifted and cut out of, and their boxes with them."""
        (pictures,) = batch
        pictures, boxes = self.augmentation(pictures, rows, targets[:, -4:] if self.has_box else None)
        return (pictures,), targets if boxes is None else torch.cat([targets[:, :-4], boxes], dim=1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Outputs, (n, n_outputs), of pictures in standard units, (n, height, width, n_channels)."""
        x = pictures.permute(0, 3, 1, 2)  # "channels last" in memory, as the convolutions want it
        outputs = self._of_places(x)
        if self.many_views and not self.training and self.augmentation.flip:
            outputs = (outputs + self._mirrored(self._of_places(x.flip(3)))) / 2
        return outputs

    def _of_places(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.layers(x)
        if not self.many_views or self.training or not self.augmentation.shift or self.has_box:
            return outputs
        wider = functional.pad(x, (1, 1, 1, 1), mode="reflect")
        moved: Tensor = self.layers(wider[:, :, 2:, 2:]) + self.layers(wider[:, :, :-2, :-2])
        return outputs / 2 + moved / 4

    def _mirrored(self, outputs: Tensor) -> Tensor:
        """Of a mirror image, as of the picture: a share's log odds are, of what is left of 1, their negative."""
        if not self.has_box:
            return outputs
        left, right = outputs[:, -4, None], outputs[:, -2, None]
        return torch.cat([outputs[:, :-4], -right, outputs[:, -3, None], -left, outputs[:, -1, None]], dim=1)

    def whiten(self, pictures: Tensor) -> None:
        """Give whitening layers their filters, of patches of pictures, (n, height, width, n_channels)."""
        x = pictures.permute(0, 3, 1, 2)
        for layer in self.layers:
            if isinstance(layer, Whitening):
                with torch.no_grad():
                    layer.weight.copy_(whitening_filters(x, layer.kernel_size[0]))


class Whitening(nn.Conv2d):
    """The first layer: its filters come from the pictures and stay, its bias is learned."""

    def __init__(self, n_in: int, size: int, stride: int) -> None:
        super().__init__(n_in, 2 * n_in * size * size, size, stride)
        self.weight.requires_grad_(False)
        nn.init.zeros_(self.weight)  # until it is told of pictures
        assert self.bias is not None
        nn.init.zeros_(self.bias)


class Pointwise(nn.Conv2d):
    """A convolution of 1 x 1; where it skips pixels, those that it takes are picked first.

    With strides in the convolution itself, the gradient by oneDNN 3.12 (torch 2.13) ends the process on processors with
    AVX-512, of 8 channels in wide pictures.
    """

    def __init__(self, n_in: int, width: int, stride: int, bias: bool = True) -> None:
        super().__init__(n_in, width, 1, stride, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Channels, (n, width, height, width)."""
        rows, columns = self.stride
        return functional.conv2d(x[:, :, ::rows, ::columns], self.weight, self.bias)


class Residual(nn.Module):
    """Two convolutions whose sum with their input goes on; at first they add nothing.

    Where width or size change, the input goes through a convolution of 1 x 1.
    """

    def __init__(self, n_in: int, width: int, stride: int, settings: LayerSettings) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            settings.drawn(nn.Conv2d(n_in, width, 3, stride, 1, bias=not settings.batch_norm)),
            *_after(width, settings),
            settings.drawn(nn.Conv2d(width, width, 3, 1, 1)),
        )
        last = self.convolutions[-1]
        nn.init.zeros_(last.weight)  # type: ignore[arg-type]
        same = n_in == width and stride == 1
        self.shortcut = nn.Identity() if same else settings.drawn(Pointwise(n_in, width, stride))
        self.after = nn.Sequential(*_after(width, settings))

    def forward(self, x: Tensor) -> Tensor:
        """Channels, (n, width, height, width)."""
        result: Tensor = self.after(self.convolutions(x) + self.shortcut(x))
        return result


class Outputs(nn.Linear):
    """The last layer."""

    def forward(self, x: Tensor) -> Tensor:
        """Outputs, shrunk."""
        return super().forward(x) * SHRINK_OUTPUTS


def _after(width: int, settings: LayerSettings) -> list[nn.Module]:
    """What comes after a convolution: normalisation, activation, dropout of whole channels."""
    modules: list[nn.Module] = []
    if settings.batch_norm:
        modules.append(BatchNorm2d(width))
    if settings.layer_norm:
        modules.append(nn.GroupNorm(1, width))
    modules.append(ACTIVATIONS[settings.activation]())
    if settings.dropout:
        modules.append(Dropout2d(settings.dropout))
    return modules


def _stack(layers: Sequence[str], shape: Shape, n_outputs: int, settings: LayerSettings) -> nn.Sequential:
    """Layers as modules.

    A convolution's pooling goes before its normalisation and activation: to increasing ones it is the same, for a
    quarter of the work.
    """
    height, width, n_units = shape
    modules: list[nn.Module] = []
    waiting: list[nn.Module] = []  # what comes after the last convolution, and its pooling
    flat = False
    for layer in layers:
        word, numbers = _parse(layer)
        if word != "pool":
            modules += waiting
            waiting = []
        if word == "dense":
            n_in = n_units if flat else n_units * height * width
            modules += [] if flat else [nn.Flatten()]
            (n_units,), flat = numbers, True
            dense = settings.drawn(nn.Linear(n_in, n_units, bias=not settings.batch_norm))
            modules += [dense, *settings.after(n_units)]
            continue
        if flat:
            raise InputError(f"architecture has the layer {layer!r} after a dense one: put it before")
        if word == "whiten":
            size, stride = (*numbers, 1)[:2]
            modules.append(Whitening(n_units, size, stride))
            waiting = [ACTIVATIONS[settings.activation]()]
            n_units = 2 * n_units * size * size
            height, width = (height - size) // stride + 1, (width - size) // stride + 1
        elif word == "conv":
            n_out, size, stride = (*numbers, *(3, 1)[len(numbers) - 1 :])
            bias = not settings.batch_norm  # normalisation has its own
            if size == 1:
                modules.append(settings.drawn(Pointwise(n_units, n_out, stride, bias)))
            else:
                modules.append(settings.drawn(nn.Conv2d(n_units, n_out, size, stride, size // 2, bias=bias)))
            waiting = _after(n_out, settings)
            n_units = n_out
            height, width = ((side + 2 * (size // 2) - size) // stride + 1 for side in (height, width))
        elif word == "residual":
            n_out, stride = (*numbers, 1)[:2]
            modules.append(Residual(n_units, n_out, stride, settings))
            n_units = n_out
            height, width = (-(-side // stride) for side in (height, width))
        elif numbers:  # of a pooling
            (size,) = numbers
            modules.append(nn.MaxPool2d(size))
            height, width = height // size, width // size
        else:
            modules += [*waiting, nn.AdaptiveMaxPool2d(1) if word == "pool" else nn.AdaptiveAvgPool2d(1)]
            waiting = []
            height = width = 1
        if min(height, width) < 1:
            raise InputError(f"pictures of {shape[0]} x {shape[1]} are too small for the layer {layer!r}: leave it out")
    modules += waiting
    if not flat:
        modules.append(nn.Flatten())
        n_units *= height * width
    return nn.Sequential(*modules, settings.drawn(Outputs(n_units, n_outputs)))


def _parse(layer: str) -> tuple[str, list[int]]:
    """The word of a layer and its numbers; of one that pools everything, none."""
    word, *rest = str(layer).split()
    expected = {"whiten": (1, 2), "conv": (1, 3), "residual": (1, 2), "pool": (0, 1), "mean": (1, 1), "dense": (1, 1)}
    least, most = expected.get(word, (1, 0))
    pools_all = word in ("pool", "mean") and rest == ["all"]
    fits = least <= len(rest) <= most and (pools_all or (word != "mean" and all(r.isdigit() and int(r) for r in rest)))
    if not fits:
        raise InputError(f"architecture has no layer {layer!r}: there are {LAYERS}")
    return word, [] if pools_all else [int(number) for number in rest] or [2] * (word == "pool")
