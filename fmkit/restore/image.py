"""`restore_image`: an array with lost pixels in, the same array with them filled out."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fmkit import __version__
from fmkit.errors import InputError
from fmkit.restore.arrays import check_finite, checked_picture, colours_of, lost_values
from fmkit.restore.calibration import calibrate
from fmkit.restore.finished import FinishedTiles, key_of
from fmkit.restore.looks import Look
from fmkit.restore.model import PictureModel, learn
from fmkit.restore.passes import OnProgress
from fmkit.restore.region import fill_region
from fmkit.restore.settings import MACHINES, METHODS, QUALITIES, Method, Quality, Settings
from fmkit.restore.tiles import Tile, for_each_tile, tiles_of
from fmkit.restore.trial import choose
from fmkit.threads import count_threads

OnPreview = Callable[[NDArray[Any]], object]


@overload
def restore_image(
    picture: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    method: Method = "auto",
    quality: Quality = "balanced",
    denoise: bool = False,
    noise: float | None = None,
    return_std: Literal[False] = False,
    random_state: int | np.random.Generator | None = 0,
    n_jobs: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: OnProgress | None = None,
    preview: OnPreview | None = None,
) -> NDArray[Any]: ...


@overload
def restore_image(
    picture: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    method: Method = "auto",
    quality: Quality = "balanced",
    denoise: bool = False,
    noise: float | None = None,
    return_std: Literal[True],
    random_state: int | np.random.Generator | None = 0,
    n_jobs: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: OnProgress | None = None,
    preview: OnPreview | None = None,
) -> tuple[NDArray[Any], NDArray[np.float32]]: ...


def restore_image(
    picture: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    method: Method = "auto",
    quality: Quality = "balanced",
    denoise: bool = False,
    noise: float | None = None,
    return_std: bool = False,
    random_state: int | np.random.Generator | None = 0,
    n_jobs: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: OnProgress | None = None,
    preview: OnPreview | None = None,
) -> NDArray[Any] | tuple[NDArray[Any], NDArray[np.float32]]:
    """Fill the lost pixels of a picture from patches that look alike.

    Patches that look alike are rows, their pixels columns, of a factorization machine whose factors are integrated
    out: each group of them is a Gaussian, and a patch's lost pixels have a closed form given its known ones. The
    answers of overlapping groups are averaged, and the filled picture searched again, several times over. Big pictures
    are worked on tile by tile, where something is lost.

    A picture that looks like one stationary Gaussian field, which photographs do not, is filled by that field's
    covariance (kriging), if hidden known pixels come out better so.

    Parameters
    ----------
    picture : array-like of shape (n_rows, n_columns) or (n_rows, n_columns, n_channels)
        Integers or floats. Of 2 or 4 channels the last is alpha, which is passed through. uint8 and uint16 are taken
        to span their whole range, as pictures do; of other types the range is that of the known values, so that the
        result does not depend on units. Not a number means lost.
    mask : array-like of the shape of `picture`, or of its first two axes, optional
        True (or any integer but 0) where a pixel is lost. By default only pixels that are not a number are. Where the
        channels lost different pixels (a colour filter array, a damaged layer of an emulsion), what one channel knows
        tells what another lost.
    method : {"auto", "patches", "als", "sgd", "mcmc"}, default "auto"
        How a group of patches is filled. "patches", which "auto" is, conditions its Gaussian on each patch's own known
        pixels. The others fit a plain factorization machine of patches x positions to the known pixels, with 6
        factors, by that solver of the engine, which estimates the patches' factors ("als", "sgd") or draws them
        ("mcmc"). They are there to be compared. On two photographs with 50% and 80% of the pixels lost, or scratched,
        all three are 2 to 5 dB better than a smooth filling, and .5 to 4 dB worse than "patches" in 2 to 20 times its
        time. They have no prior that neighbouring positions are alike.
    quality : {"fast", "balanced", "best"}, default "balanced"
        How many passes are made, and how many patches are compared and filled: about .3 and 4 times as long.
    denoise : bool, default False
        Take the noise off the known pixels too, so that the filled ones do not stand out as clean. By default known
        pixels stay bit for bit.
    noise : float, optional
        Standard deviation of the known pixels' noise, in units of the picture; by default it is told by the calmest
        parts of the picture itself.
    return_std : bool, default False
        Return also how sure each filled pixel is.
    random_state : int, numpy.random.Generator or None, default 0
        Draws the grids of patches; the same seed gives the same picture, whatever `n_jobs`. None: another every time.
    n_jobs : int, optional
        Threads; by default (and for -1) every core that the process may use.
    checkpoint : path, optional
        A file in which the finished tiles of a big picture are kept until it is done. If the work is interrupted, a
        second call with the same arguments goes on from them. With `random_state` None or a generator they never fit.
    progress : callable of (done, total), optional
        Called, from any thread, as the work goes on, with numbers of pixels. An error that it raises ends the work.
    preview : callable of (picture), optional
        Called, from any thread, after each pass, and every second or so in long ones, with the picture as far as it is
        filled by then: an array that goes on changing.

    Returns
    -------
    restored : ndarray of the shape and dtype of `picture`
        Known values bit for bit as they were (unless `denoise`), lost ones within the range of their channel's known
        ones. If nothing is lost, `picture` itself.
    std : float32 ndarray of the shape of `picture`, without alpha
        Only if `return_std`: the standard deviation of each filled value from the truth, in units of the picture; 0
        where the value was known. A filled value +- 1.64 std holds the truth in about 90% of the pixels.

    Raises
    ------
    InputError
        If the array is no picture, the mask does not fit it, or nothing in a channel is known.

    See Also
    --------
    ImageRestorer : learns once from several pictures of one kind.
    find_damage : a mask of what looks damaged.

    References
    ----------
    Lebrun, Buades and Morel, A Nonlocal Bayesian Image Denoising Algorithm (2013): Gaussians of groups of patches.

    Matheron, Principles of Geostatistics (1963): kriging.

    Examples
    --------
    >>> import numpy as np
    >>> from fmkit.restore import restore_image
    >>> ramp = np.add.outer(np.arange(32), np.arange(32)).astype(np.uint8)
    >>> scratched = ramp.copy()
    >>> scratched[15:17] = 255
    >>> lost = scratched == 255
    >>> bool(np.abs(restore_image(scratched, lost).astype(int) - ramp).max() <= 1)
    True
    """
    settings = settings_for(method, quality, denoise)
    return restore_with(
        *(None, picture, mask, settings, noise, return_std, random_state, count_threads(n_jobs), checkpoint, progress),
        preview,
    )


def settings_for(method: str, quality: str, denoise: bool) -> Settings:
    """The settings that the words stand for."""
    if method not in METHODS:
        raise InputError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    if quality not in QUALITIES:
        raise InputError(f"quality must be one of {', '.join(QUALITIES)}, got {quality!r}")
    settings = replace(Settings(), **QUALITIES[quality], denoise=denoise)
    if method in ("auto", "patches"):
        return settings
    return replace(settings, **MACHINES, method=method, n_passes=settings.n_passes // 3)


def restore_with(
    model: PictureModel | None,
    picture: ArrayLike,
    mask: ArrayLike | None,
    settings: Settings,
    noise: float | None,
    return_std: bool,
    random_state: int | np.random.Generator | None,
    n_threads: int,
    checkpoint: str | os.PathLike[str] | None,
    progress: OnProgress | None,
    preview: OnPreview | None = None,
) -> NDArray[Any] | tuple[NDArray[Any], NDArray[np.float32]]:
    """`restore_image` with what is known of pictures of this kind; None: what the picture tells of itself."""
    picture = checked_picture(picture)
    colours = colours_of(picture)
    lost = lost_values(colours, mask)
    lost_anywhere = lost[:, :, 0] if lost.shape[2] == 1 else np.asarray(lost.any(axis=2))
    if not (lost_anywhere.any() or settings.denoise):
        return (picture, np.zeros(colours_shape(picture), np.float32)) if return_std else picture
    check_some_known(lost)
    check_finite(colours, lost)
    if noise is not None and not (np.isfinite(noise) and noise >= 0):
        raise InputError(f"noise must be a standard deviation of 0 or more, got {noise}")
    if model is None:
        model = learn([(colours, lost)]).with_noise(noise)
    else:
        model = model.for_picture(colours, lost, noise)

    seed = int(np.random.default_rng(random_state).integers(2**63))
    settings = choose(colours, lost, model, settings, np.random.default_rng((seed, 0, 1)), n_threads)
    tiles = list(tiles_of(lost_anywhere, settings.depth, settings.denoise))
    finished = None
    if checkpoint is not None and len(tiles) > 1:
        facts = (__version__, settings, model.facts(), return_std, seed)
        finished = FinishedTiles(checkpoint, key_of([colours, lost], facts), 1 + return_std)
    result = picture.copy()
    target = colours_of(result)
    std = np.zeros(colours.shape, np.float32) if return_std else None

    def fill(tile: Tile, threads: int, tell: Any) -> None:
        asked = tile.owned[:, :, None] if settings.denoise else lost[tile.seen] & tile.owned[:, :, None]
        asked = np.broadcast_to(asked, target[tile.seen].shape)
        made = finished.tiles.get(tile.number) if finished else None
        if made is None:
            rng = np.random.default_rng((seed, tile.number))
            here = settings if tile.wide else replace(settings, depth=max(lost.shape))
            channels = np.nonzero(asked)[2]

            def show(values: NDArray[np.float32]) -> None:
                assert preview is not None
                target[tile.seen][asked] = model.scale.back(values[asked], channels)
                preview(result)

            values, spread = fill_region(
                *(colours[tile.seen], lost[tile.seen], model, here, rng, threads, return_std, tell),
                Look(show if preview is not None else None),
            )
            made = [model.scale.back(values[asked], channels)]
            if spread is not None:
                made.append(spread[asked])
            if finished:
                finished.add(tile.number, made)
        target[tile.seen][asked] = made[0]
        if std is not None:
            std[tile.seen][asked] = made[1]

    for_each_tile(fill, tiles, n_threads, progress)
    if std is not None:
        n_lost = sum(int(tile.owned.sum()) for tile in tiles)

        def tell(share: float) -> None:
            if progress is not None:
                progress(n_lost, n_lost)  # which may end the work

        rng = np.random.default_rng((seed, 0))
        factors = calibrate(colours, lost, model, settings, rng, n_threads, tell)
        std *= factors * np.float32(model.scale.half / 127.5)
    if finished:
        finished.forget()
    return (result, std.reshape(colours_shape(picture))) if std is not None else result


def check_some_known(lost: NDArray[np.bool_]) -> None:
    """Refuse a picture of which a channel is lost altogether."""
    if lost.all(axis=(0, 1)).any():
        raise InputError("every pixel of the picture is lost, or all of one channel: at least one must be known")


def colours_shape(picture: NDArray[Any]) -> tuple[int, ...]:
    """Shape of the picture without alpha."""
    n_channels = colours_of(picture).shape[2]
    return picture.shape[:2] if picture.ndim == 2 else (*picture.shape[:2], n_channels)
