"""Convolutional nets for pictures: CNNClassifier."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from fmkit.errors import InputError

from . import files, onnx
from .augmentation import Augmentation
from .convnet import ARCHITECTURES, ConvNet
from .estimator import NetEstimator, keep_parameters
from .localization import Localizer
from .picture_files import are_paths, common_shape, files_by_class, read_files
from .pictures import Pictures, PictureScale, Shape, as_pictures
from .whitening import N_PICTURES

TINY = 16  # pixels a side, under which "auto" takes the textbook's net
# Of 10,000 pictures of CIFAR-10, three epochs learned .70 by 1, .61 by .3, and .43 by .1 (on a validation part).
NORMALISED_SGD_RATE = 1.0
LARGEST_BATCH = 128  # of "auto": .73 there, .70 in batches of 256, for the same processor time
SHIFT = 1 / 16  # of a side, that "auto" moves pictures by


class CNNClassifier(Localizer):
    """Convolutional net for pictures, arrays, files, or folders by class: what is in them and, if asked for, where.

    Its defaults are those that made nets of pictures learn in seconds: a first layer that whitens patches, batch
    normalisation, Nesterov's momentum with a rate that rises and falls, smoothed labels, pictures that are mirrored and
    moved. Each is a parameter; `architecture="classic"` puts the textbook's layers in their place.

    Parameters
    ----------
    architecture : {"auto", "airbench", "resnet", "classic"} or list of str, default="auto"
        "airbench" is K. Jordan's net of 2024, narrowed: whitened patches, then groups of two convolutions with a
        pooling, and the largest value of every channel; "resnet" has residual blocks; "classic" is convolution,
        pooling, convolution, pooling, dense. "auto" takes "classic" under 16 pixels a side, else "airbench". A list
        names layers from the picture on, without the outputs: "conv 32" (3 x 3; "conv 32 5" is 5 x 5, "conv 32 3 2" has
        a stride of 2), "pool" ("pool 3", "pool all"), "mean all", "residual 64" ("residual 64 2"), "whiten 2",
        "dense 128".
    task : {"classify", "localize"}, default="classify"
        "localize" learns the box of what a picture shows, too: y is (classes, boxes), boxes of shape (n, 4) are left,
        top, right and bottom in pixels, `predict` gives classes and `predict_boxes` boxes, and `score` counts rows
        whose class is right and whose box has half of its union with the true one in common with it. The net keeps
        places until its outputs ("pool all" and "mean all" become "dense 128").
    channels : sequence of int, optional
        Widths of the groups of a named architecture; by default 32, 64, 128 of "resnet", 32, 64 of "classic", and 24,
        64, 128 (128, ...) of "airbench", as many as leave four pixels a side.
    flip : bool or "auto", default="auto"
        Mirror training pictures left to right, every second epoch. "auto" does so for colour pictures and not for grey
        ones, which may be letters or numbers.
    shift : int or "auto", default="auto"
        Move training pictures by up to so many pixels; "auto" a sixteenth of the side, rounded: 2 of 32, none of 8.
        Boxes move with their pictures, and stay in them.
    cutout : int, default=0
        Side of a square that is cut out of training pictures; 0 for none.
    test_time_augmentation : bool, default=True
        Predict by the mean of a picture and, with flip, its mirror image, and, with shift but of boxes not, of both
        moved by a pixel to either corner: in up to six times the time. On 5,000 pictures of CIFAR-10 that were set
        aside, the moves took .869 to .871.
    picture_size : int or (height, width), optional
        Of pictures read from files; by default their own if all share one of up to 224 x 224, else 64 x 64.
    activation : {"relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "tanh", "logistic"}, default="gelu"
        Of hidden units.
    init : {"he", "xavier", "lecun", "orthogonal", "constant-variance"}, default="he"
        How weights are drawn (`fmkit.deep.initialization`).
    init_std : float, default=0.01
        Standard deviation of the weights by init="constant-variance".
    l1 : float, default=0.0
        Penalty l1 `|w|` on weights, not on biases; makes some exactly zero.
    l2 : float, default=0.01
        Penalty l2 w² / 2 on weights: every step shrinks them by the learning rate times l2 (decoupled weight decay).
    dropout : float, default=0.0
        Share of channels, and of dense units, that are left out in a training step; none in predictions.
    batch_norm : bool, default=True
        Standardise every channel over the batch before the activation.
    layer_norm : bool, default=False
        Over the channels and places of a picture instead.
    label_smoothing : float, default=0.2
        Share of a row's probability that the loss wants given to all classes alike. Probabilities are less sharp by it.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes; "balanced" gives all the same sum.
    optimizer : {"sgd", "adamw", "adagrad", "rmsprop", "lbfgs"}, default="sgd"
        "lbfgs" takes all rows at once, at a constant rate, 20 iterations an epoch.
    momentum : float, default=0.85
        Of "sgd".
    nesterov : bool, default=True
        Of "sgd".
    batch_size : int, "auto" or "full", default="auto"
        Rows a step; "full" is batch gradient descent; "auto" a fiftieth of the rows, as a power of two from 16 to 128.
    learning_rate : float, "auto" or None, default=None
        The highest of the schedule. None takes the optimizer's usual (SGD 1, and .1 without batch_norm; AdamW .005,
        AdaGrad .02, RMSProp .002, L-BFGS 1), "auto" a range test of 100 steps (`fmkit.deep.range_test`).
    schedule : {"onecycle", "cosine", "constant", "step"}, default="onecycle"
        Learning rate over the training (`fmkit.deep.schedules`).
    early_stopping : bool, default=False
        Set `validation_fraction` of the rows aside, of every class its share, keep the net that is best there, and stop
        after `patience` epochs that make it no better.
    patience : int, default=10
        Epochs.
    validation_fraction : float, default=0.1
        Share of the rows, in (0, 1).
    max_epochs : int, optional
        Passes over the rows; by default as many as make 700 steps, from 10 to 100, or as many as `max_time` allows.
    max_time : float, optional
        Seconds; the schedule comes to its end with the time.
    ema : float, default=0.0
        Decay, .99 say, of an exponential moving average over the steps' weights, which is then the net; 0 for none.
    grad_clip : float, optional
        The longest gradient, of all parameters together; longer ones are scaled down.
    device : {"auto", "cpu", "cuda", "mps"}, default="auto"
        "auto" takes a GPU if there is one.
    amp : bool, default=False
        Compute in bfloat16 where that is safe: sooner on GPUs; four to ten times later on processors without bfloat16.
    compile : bool, default=False
        Compile the training steps (`torch.compile`), with a C++ compiler. It hardly paid on one core: epochs of 1,024
        pictures of 32 x 32 took 1.91 s instead of 2.01, after 10 s of compiling and more for every size of a batch.
    tell_saturation : bool, default=False
        Have `history_` tell, of every hidden layer, the share of units whose activation is flat, `|f'|` < 0.05.
    n_jobs : int, default=-1
        Threads of the processor, by default all cores: convolutions share their work well. Where torch was imported
        before fmkit.deep, and cores have other work, set OMP_WAIT_POLICY=PASSIVE in the environment: threads that spin
        while they wait made a fit five times as long.
    random_state : int, RandomState instance or None, default=None
        Draws weights, the part set aside, orders of rows, augmentation and dropout: the same number on the same machine
        gives the same net, bit for bit.
    warm_start : bool, default=False
        Go on from the net of the last fit if pictures and classes are the same.
    verbose : int, default=0
        1 shows a progress bar.
    callbacks : list of callable, optional
        Each is called with the `fmkit.progress.Progress` of every epoch; one that returns True ends the fit.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; of a table of labels their numbers; of folders their names.
    multilabel_ : bool
        Whether y was a table of 0 and 1.
    net_ : fmkit.deep.convnet.ConvNet
        The torch module, on the processor.
    layers_ : list of str
        The net's layers, as `architecture` takes them.
    augmentation_ : dict
        `flip`, `shift` and `cutout` as they were chosen.
    picture_shape_ : tuple of three int
        Height, width and channels.
    encoder_ : fmkit.deep.pictures.PictureScale
        Means and spreads of the channels, of the training pictures alone.
    history_ : list of dict
        `epoch`, `train_loss`, `validation_loss`, `seconds`, `learning_rate` (and `saturation`) of every epoch: rows for
        a DataFrame.
    n_iter_ : int
        Epochs done.
    best_epoch_ : int
        The one whose net is kept: the last or, by early stopping, the best on the rows set aside; 0 if none of them
        bettered the net that a warm start began with.
    n_outputs_ : int
        1 for two classes, else one a class or label.
    n_features_in_ : int
        Values of a picture.

    Notes
    -----
    X is an array of shape (n, height, width) or (n, height, width, channels), uint8 or float, or a list of files. Bytes
    stay bytes until a batch is made of them. Pictures of the net are those of its fit in size, channels and kind.

    References
    ----------
    K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv:2404.00498, 2024; K. He et al., "Deep residual
    learning for image recognition", CVPR 2016; Y. LeCun et al., "Gradient-based learning applied to document
    recognition", Proceedings of the IEEE 1998; J. Tompson et al., "Efficient object localization using convolutional
    networks", CVPR 2015 (dropout of channels). Those of the parameters stand in the modules that bear their names.

    Examples
    --------
    >>> from fmkit.deep import CNNClassifier
    >>> from sklearn.datasets import load_digits
    >>> digits = load_digits()
    >>> model = CNNClassifier(max_epochs=4, random_state=0, n_jobs=1).fit(digits.images[::2], digits.target[::2])
    >>> bool(model.score(digits.images[1::2], digits.target[1::2]) > 0.95)
    True
    >>> model.layers_
    ['conv 32 5', 'pool', 'conv 64 5', 'pool', 'dense 128']
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NetEstimator._parameter_constraints,
        "architecture": [StrOptions({"auto", *ARCHITECTURES}), list, tuple],
        "task": [StrOptions({"classify", "localize"})],
        "channels": ["array-like", None],
        "flip": ["boolean", StrOptions({"auto"})],
        "shift": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
        "cutout": [Interval(Integral, 0, None, closed="left")],
        "test_time_augmentation": ["boolean"],
        "picture_size": [Interval(Integral, 1, None, closed="left"), "array-like", None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    architecture: str | Sequence[str]
    channels: Sequence[int] | None
    flip: bool | Literal["auto"]
    shift: int | Literal["auto"]
    cutout: int
    test_time_augmentation: bool
    picture_size: int | Sequence[int] | None
    encoder_: PictureScale
    picture_shape_: Shape

    def __init__(
        self,
        architecture: str | Sequence[str] = "auto",
        *,
        task: Literal["classify", "localize"] = "classify",
        channels: Sequence[int] | None = None,
        flip: bool | Literal["auto"] = "auto",
        shift: int | Literal["auto"] = "auto",
        cutout: int = 0,
        test_time_augmentation: bool = True,
        picture_size: int | Sequence[int] | None = None,
        activation: str = "gelu",
        init: str = "he",
        init_std: float = 0.01,
        l1: float = 0.0,
        l2: float = 0.01,
        dropout: float = 0.0,
        batch_norm: bool = True,
        layer_norm: bool = False,
        label_smoothing: float = 0.2,
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        optimizer: str = "sgd",
        momentum: float = 0.85,
        nesterov: bool = True,
        batch_size: int | Literal["auto", "full"] = "auto",
        learning_rate: float | Literal["auto"] | None = None,
        schedule: str = "onecycle",
        early_stopping: bool = False,
        patience: int = 10,
        validation_fraction: float = 0.1,
        max_epochs: int | None = None,
        max_time: float | None = None,
        ema: float = 0.0,
        grad_clip: float | None = None,
        device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
        amp: bool = False,
        compile: bool = False,
        tell_saturation: bool = False,
        n_jobs: int | None = -1,
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        callbacks: list[Any] | None = None,
    ) -> None:
        keep_parameters(self, locals())

    def fit_folder(
        self,
        folder: str | Path,
        *,
        on_error: Literal["raise", "skip"] = "raise",
        cache: str | Path | None = None,
    ) -> Self:
        """Fit to the pictures in the folders of a folder: a class each, whose name is the folder's.

        Pictures are read in threads, resized (`picture_size`), and held as bytes. `predict` takes lists of files.

        Parameters
        ----------
        folder : path
            PNG, JPEG, TIFF and WebP files in folders of any depth under those of the classes.
        on_error : {"raise", "skip"}, default="raise"
            A damaged picture is refused, or left out and named in a warning.
        cache : path, optional
            A folder that keeps the pictures as they were read, for the next fit to the same files.

        Returns
        -------
        self

        Raises
        ------
        InputError
            If there are fewer than two classes, or a picture is damaged.
        OSError
            If a file cannot be read, or the cache not be written.
        """
        self._validate_params()
        if on_error not in ("raise", "skip"):
            raise InputError(f"on_error must be 'raise' or 'skip', got {on_error!r}")
        found, labels = files_by_class(folder)
        shape = common_shape(found, self.picture_size, self.n_jobs, on_error)
        pixels, read = read_files(found, shape, n_jobs=self.n_jobs, on_error=on_error, cache=cache)
        return self.fit(pixels, np.array(labels)[read])

    @property
    def layers_(self) -> list[str]:
        """The net's layers, as `architecture` takes them."""
        check_is_fitted(self, "encoder_")
        name, shape = self.architecture, self.encoder_.shape
        if not isinstance(name, str):
            if self.channels is not None:
                raise InputError("channels are of an architecture with a name: leave them out, the list has its own")
            return [str(layer) for layer in name]
        if name == "auto":
            name = "classic" if min(shape[:2]) < TINY else "airbench"
        layers = ARCHITECTURES[name](shape, self.channels)
        return [*layers[:-1], "dense 128"] if self.task == "localize" and layers[-1].endswith(" all") else layers

    @property
    def augmentation_(self) -> dict[str, Any]:
        """`flip`, `shift` and `cutout` as they were chosen."""
        check_is_fitted(self, "encoder_")
        height, width, n_channels = self.encoder_.shape
        shift = round(min(height, width) * SHIFT) if self.shift == "auto" else self.shift
        if shift >= min(height, width):
            raise InputError(f"shift must be less than a side of the pictures, {min(height, width)}, got {shift}")
        flip = n_channels > 1 if self.flip == "auto" else self.flip
        return {"flip": bool(flip), "shift": int(shift), "cutout": int(self.cutout)}

    def _read(self, X: Any, *, reset: bool) -> Pictures:
        if are_paths(X):
            shape = common_shape(X, self.picture_size, self.n_jobs) if reset else self.picture_shape_
            pictures = Pictures(read_files(X, shape, n_jobs=self.n_jobs)[0])
        else:
            pictures = as_pictures(X)
        if reset:
            self.picture_shape_, self.n_features_in_ = pictures.shape, prod(pictures.shape)
        elif pictures.shape != self.picture_shape_:
            given, fitted = (" x ".join(map(str, shape)) for shape in (pictures.shape, self.picture_shape_))
            raise InputError(f"the pictures are {given}, the net was fitted to {fitted}: resize or convert them")
        return pictures

    def _learn(self, rows: Pictures, chosen: NDArray[np.int64]) -> PictureScale:
        return PictureScale.learn(rows, chosen)

    def _usual_rate(self) -> float:
        return NORMALISED_SGD_RATE if self.optimizer == "sgd" and self.batch_norm else super()._usual_rate()

    def _batch_size(self, n: int) -> int:
        size = super()._batch_size(n)
        return min(size, LARGEST_BATCH) if self.batch_size == "auto" and self.optimizer != "lbfgs" else size

    def _make_net(self) -> ConvNet:
        return ConvNet(
            self.layers_,
            self.encoder_.shape,
            self._n_values(),
            self._layer_settings(),
            Augmentation(**self.augmentation_),
            self.test_time_augmentation,
            self.task == "localize",
        )

    def _start_net(self, rows: Pictures, y: NDArray[Any], weights: Any, chosen: NDArray[np.int64]) -> None:
        """Whiten by patches of training pictures, taken from all over the rows: these may be sorted."""
        some = torch.from_numpy(chosen[:: -(-len(chosen) // N_PICTURES)])
        cast(ConvNet, self.net_).whiten(self.encoder_.inputs(rows, torch.float32).batch(some)[0])

    def to_onnx(self, path: str | PathLike[str]) -> None:
        """Write the net as an ONNX file, with what comes before and after it.

        Its input "X" are pictures as `fit` got them, (n, height, width) or (n, height, width, n_channels), uint8 or
        float32, in their own range; its output "answer" what `predict_proba` gives, mirror image and moves included,
        and "boxes" what `predict_boxes` does, by task="localize". Pictures of a fit to files are uint8, with
        channels, stretched to `picture_shape_`. The metadata tell "classes" as JSON.

        Parameters
        ----------
        path : str or path
            Customarily with the suffix `.onnx`.

        Raises
        ------
        ImportError
            Without onnxscript: `pip install fmkit[onnx]`.
        """
        check_is_fitted(self)
        scale, has_boxes = self.encoder_, self.task == "localize"
        module = onnx.PictureNet(cast(ConvNet, self.net_.copy()), scale, onnx.answers(self), has_boxes=has_boxes)
        shape = scale.shape if scale.has_channels else scale.shape[:2]
        example = torch.zeros(2, *shape, dtype=torch.uint8 if scale.whole else torch.float32)
        outputs = ["answer", "boxes"] if has_boxes else ["answer"]
        onnx.export(self, module, {"X": (example, ["n_pictures"])}, path, outputs)

    @classmethod
    def _unpack_encoder(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> PictureScale:
        return PictureScale.unpack(facts, arrays)

    def _to_file(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        return files.pack(self)

    @classmethod
    def _from_file(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        model = cast(Self, files.unpack(cls(), facts, arrays))
        model.picture_shape_ = model.encoder_.shape
        return model

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True
        return tags
