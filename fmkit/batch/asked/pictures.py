"""Columns of picture files: restored, or classified by a net."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fmkit.batch.asked.answers import Wishes
from fmkit.batch.asked.columns import Column, Fault, Refused, faulty
from fmkit.batch.asked.predictions import Predictions
from fmkit.batch.asked.sequences import check_bytes
from fmkit.errors import InputError
from fmkit.restore.lost import lost_by_mask
from fmkit.restore.picture_file import Picture, read_picture, write_picture

MAGIC = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"II*\0": ".tif", b"MM\0*": ".tif", b"RIFF": ".webp"}
PICTURE = ("image", "photo", "bytes", "content")


class Restoring:
    """An `ImageRestorer`: bytes of picture files in, bytes of restored ones of the same format out.

    A column `mask` of pictures is white where pixels are lost; without one, damage is looked for.

    Parameters
    ----------
    model : ImageRestorer
        Fitted.
    schema : pyarrow.Schema
    wishes : Wishes
    """

    fields = (pa.field("restored", pa.binary()),)

    def __init__(self, model: Any, schema: pa.Schema, wishes: Wishes) -> None:
        wishes.check("an ImageRestorer", roles=("picture", "mask"))
        self.model = model
        masked = "mask" in (wishes.columns or {}) or "mask" in schema.names
        self.mask = wishes.column("mask", schema.names, ()) if masked else None
        others = [name for name in schema.names if name != self.mask]
        self.picture = wishes.column("picture", others, PICTURE)
        self.columns: dict[str, Column] = {self.picture: Pictures(model.n_channels_)}
        if self.mask is not None:
            self.columns[self.mask] = Pictures(None)

    def answer(self, values: Mapping[str, Any], n: int) -> list[pa.Array]:
        """Files."""
        masks = [None] * n if self.mask is None else values[self.mask]
        if self.mask is not None:
            sizes = [picture.pixels.shape[:2] for picture, _ in values[self.picture]]
            unlike = [mask.pixels.shape[:2] != size for (mask, _), size in zip(masks, sizes, strict=True)]
            if any(unlike):
                raise Refused(self.mask, faulty(unlike, "the mask has not as many pixels as the picture"))
        restored = [self._restored(*pair) for pair in zip(values[self.picture], masks, strict=True)]
        return [pa.array(restored, pa.binary())]

    def _restored(self, file: tuple[Picture, str], mask: tuple[Picture, str] | None) -> bytes:
        picture, suffix = file
        if mask is None:
            from fmkit.restore import find_damage

            lost = find_damage(picture.pixels, n_jobs=self.model.n_jobs).mask
        else:
            lost = lost_by_mask(mask[0].pixels)
        pixels = self.model.transform(picture.pixels, lost) if lost.any() else picture.pixels
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"restored{suffix}"
            write_picture(path, pixels, picture)
            return path.read_bytes()


class Classifying:
    """A `CNNClassifier` of picture files.

    Parameters
    ----------
    model : CNNClassifier
        Fitted.
    schema : pyarrow.Schema
    wishes : Wishes
    """

    def __init__(self, model: Any, schema: pa.Schema, wishes: Wishes) -> None:
        self.predictions = Predictions(model, wishes, ("picture",))
        self.fields = self.predictions.fields
        self.name = wishes.column("picture", schema.names, PICTURE)
        self.columns: Mapping[str, Column] = {self.name: Pictures(None)}

    def answer(self, values: Mapping[str, Any], n: int) -> list[pa.Array]:
        """Classes."""
        with tempfile.TemporaryDirectory() as folder:  # a net reads files, and brings them to the size of its fit
            files = []
            for row, (picture, _) in enumerate(values[self.name]):
                files.append(Path(folder) / f"{row}.png")
                write_picture(files[-1], picture.pixels, picture)
            return self.predictions.of(files)


class Pictures:
    """PNG, JPEG, TIFF or WebP files, as bytes.

    Parameters
    ----------
    n_channels : int or None
        Of colour, that there must be.
    """

    def __init__(self, n_channels: int | None) -> None:
        self.n_channels = n_channels

    def check(self, kind: pa.DataType) -> None:
        """Bytes."""
        check_bytes(kind, "picture files")

    def read(self, column: pa.Array) -> tuple[list[Any], list[Fault]]:
        """Pictures, with the suffix of their format."""
        pictures: list[Any] = []
        faults: list[Fault] = []
        with tempfile.TemporaryDirectory() as folder:
            for row, content in enumerate(column.to_pylist()):
                pictures.append(None)
                try:
                    pictures[-1] = self._picture(content, Path(folder))
                except (InputError, OSError) as error:
                    reason = str(error).replace(f"{folder}/", "").partition(": ")
                    faults.append(Fault(np.array([row]), reason[2] or reason[0]))
        return pictures, faults

    def _picture(self, content: bytes | None, folder: Path) -> tuple[Picture, str]:
        if content is None:
            raise InputError("there is no picture")
        suffix = next((suffix for magic, suffix in MAGIC.items() if content.startswith(magic)), None)
        if suffix is None:
            raise InputError("this is no PNG, JPEG, TIFF or WebP picture")
        path = folder / f"picture{suffix}"
        path.write_bytes(content)
        picture = read_picture(path)
        n_channels = 1 if picture.colours.ndim == 2 else picture.colours.shape[2]
        if self.n_channels not in (None, n_channels):
            raise InputError(
                f"the restorer was fitted to {self.n_channels} colour channels, the picture has {n_channels}"
            )
        return picture, suffix
