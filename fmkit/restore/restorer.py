"""`ImageRestorer`: what pictures of one kind have in common, learned once, and any of them restored by it."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from fmkit.errors import InputError
from fmkit.restore.arrays import check_finite, checked_picture, colours_of, lost_values
from fmkit.restore.image import check_some_known, restore_with, settings_for
from fmkit.restore.model import PictureModel, learn
from fmkit.restore.passes import OnProgress
from fmkit.threads import count_threads


class ImageRestorer(TransformerMixin, BaseEstimator):
    """Fill the lost pixels of pictures that have something in common.

    `fit` learns from one picture or several of one kind (plates of one camera, frames of one microscope, sheets of one
    archive) their range of values, the axes of their colours, their noise and how pixels of a patch correlate: the
    prior of every group. `transform` restores a picture by these. A picture of which little is left, or that is small,
    is told by the others what pictures like it are.

    Parameters
    ----------
    method, quality, denoise, noise, random_state, n_jobs
        See `restore_image`.

    Attributes
    ----------
    model_ : PictureModel
        What was learned: `scale`, `space` (the colour axes), `correlation` (by lag), `noise` (in units of 1/255 of the
        range).
    n_channels_ : int
        Colour channels of the pictures, alpha not counted.
    n_features_in_ : int
        Columns of the (first) picture; pictures to restore may have others.

    See Also
    --------
    restore_image : fit and transform of a single picture, with standard deviations and checkpoints.

    Examples
    --------
    >>> import numpy as np
    >>> from fmkit.restore import ImageRestorer
    >>> ramp = np.add.outer(np.arange(32.0), np.arange(32.0))
    >>> damaged = ramp.copy()
    >>> damaged[15:17] = np.nan  # not a number is lost
    >>> restorer = ImageRestorer().fit([ramp, damaged])
    >>> bool(np.abs(restorer.transform(damaged) - ramp).max() < 1)
    True
    """

    def __init__(
        self,
        *,
        method: str = "auto",
        quality: str = "balanced",
        denoise: bool = False,
        noise: float | None = None,
        random_state: int | np.random.Generator | None = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.method = method
        self.quality = quality
        self.denoise = denoise
        self.noise = noise
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: ArrayLike | Sequence[ArrayLike], mask: Any = None) -> "ImageRestorer":
        """Learn what pictures have in common.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_columns[, n_channels]), or a list or tuple of such arrays
            Pictures of one type and number of channels; sizes may differ. Not a number means lost.
        mask : array-like, or a list or tuple of them (or None), one a picture, optional
            True where a pixel is lost; nothing is learned from it. One column of numbers, the targets that
            scikit-learn's tools hand on to every step, is no mask, and left alone.

        Returns
        -------
        self

        Raises
        ------
        InputError
            If the pictures are none, or are not alike.
        """
        settings_for(self.method, self.quality, self.denoise)
        given: Any = X
        several = isinstance(given, (list, tuple)) and len(given) > 0 and np.ndim(given[0]) > 1
        pictures = [checked_picture(picture) for picture in (given if several else [given])]
        if not several and np.ndim(mask) == 1:
            mask = None
        masks = list(mask) if several and mask is not None else [mask] * len(pictures)
        if len(masks) != len(pictures):
            raise InputError(f"there are {len(pictures)} pictures, but {len(masks)} masks: give one a picture, or None")
        learned = []
        for picture, lost_of in zip(pictures, masks, strict=True):
            colours = colours_of(picture)
            first = colours_of(pictures[0])
            if colours.shape[2] != first.shape[2] or colours.dtype != first.dtype:
                raise InputError(
                    f"pictures of one kind have one number of channels and one type, but here are {first.shape[2]} of "
                    f"{first.dtype} and {colours.shape[2]} of {colours.dtype}"
                )
            lost = lost_values(colours, lost_of)
            check_some_known(lost)
            check_finite(colours, lost)
            learned.append((colours, lost))
        self.model_: PictureModel = learn(learned)
        self.n_channels_ = int(learned[0][0].shape[2])
        self.n_features_in_ = int(pictures[0].shape[1])
        return self

    def transform(
        self,
        X: ArrayLike,
        mask: ArrayLike | None = None,
        *,
        return_std: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        progress: OnProgress | None = None,
    ) -> Any:
        """Restore a picture.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_columns[, n_channels])
            Of as many channels as those of the fit.
        mask, return_std, checkpoint, progress
            See `restore_image`.

        Returns
        -------
        restored : ndarray of the shape and dtype of `X`
        std : float32 ndarray
            Only if `return_std`.
        """
        check_is_fitted(self)
        picture = checked_picture(X)
        n_channels = colours_of(picture).shape[2]
        if n_channels != self.n_channels_:
            raise InputError(f"the pictures of the fit have {self.n_channels_} colour channels, this one {n_channels}")
        settings = settings_for(self.method, self.quality, self.denoise)
        return restore_with(
            *(self.model_, picture, mask, settings, self.noise, return_std, self.random_state),
            *(count_threads(self.n_jobs), checkpoint, progress),
        )

    def fit_transform(self, X: ArrayLike, mask: Any = None, y: object = None, **params: Any) -> NDArray[Any]:
        """Learn from one picture, and restore it; `y`, the targets of a pipeline, is left alone."""
        mask = None if np.ndim(mask) == 1 else mask
        return np.asarray(self.fit(X, mask).transform(X, mask, **params))

    def _to_file(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        check_is_fitted(self)
        facts, arrays = self.model_.pack()
        parameters = self.get_params(deep=False)
        if not isinstance(parameters["random_state"], int | None):
            parameters["random_state"] = None
        return {**facts, "parameters": parameters, "n_features_in": self.n_features_in_}, arrays

    @classmethod
    def _from_file(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> "ImageRestorer":
        restorer = cls(**facts["parameters"])
        settings_for(restorer.method, restorer.quality, restorer.denoise)
        restorer.model_ = PictureModel.unpack(facts, arrays)
        restorer.n_channels_, restorer.n_features_in_ = len(restorer.model_.space.mean), int(facts["n_features_in"])
        return restorer

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.no_validation = True  # a picture is no table of samples: any numbers of rows and columns fit
        return tags
