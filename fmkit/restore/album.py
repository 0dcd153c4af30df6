"""Many pictures: which ones a folder holds, where their masks lie, and what the files made of them are called."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fmkit.errors import InputError
from fmkit.files import check_writable

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")
MASK_FOLDER = "masks"
MADE = ("restored", "preview", "compare", "uncertainty")  # by us: NAME_restored.png is no picture to restore


@dataclass(frozen=True)
class Found:
    """A picture file, and the folder that it lies in, seen from the one that was named."""

    path: Path
    inside: Path = Path()


def find_pictures(paths: Iterable[Path], recursive: bool = False) -> list[Found]:
    """Pictures by name, and those in folders in the order of their names.

    A folder's masks (NAME_mask.png, NAME.mask.png, all of masks/), hidden files and what an earlier run made
    (NAME_restored.png and the like) are left out; a file that is named is taken whatever its name.

    Raises
    ------
    InputError
        If a folder holds none.

    Examples
    --------
    >>> from pathlib import Path
    >>> from fmkit.restore.album import find_pictures
    >>> [str(found.path) for found in find_pictures([Path("holiday.jpg")])]
    ['holiday.jpg']
    """
    found = []
    for path in paths:
        if not path.is_dir():
            found.append(Found(path))
            continue
        inside = [Found(file, file.parent.relative_to(path)) for file in _files(path, recursive) if _is_picture(file)]
        if not inside:
            deeper = "" if recursive else " (--recursive looks into the folders inside it, too)"
            raise InputError(f"this folder holds no PNG, JPEG, TIFF or WebP pictures{deeper}", path=path)
        found += inside
    return list(dict.fromkeys(found))


def _files(folder: Path, recursive: bool) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if not path.is_dir():
            yield path
        elif recursive and path.name != MASK_FOLDER and not path.is_symlink():
            yield from _files(path, recursive)


def _is_picture(path: Path) -> bool:
    name, _, word = path.stem.rpartition("_")
    is_mask = word == "mask" or path.stem.endswith(".mask")
    return path.suffix.lower() in SUFFIXES and not is_mask and not (name and word in MADE)


def find_mask(picture: Found, folder: Path | None = None) -> Path | None:
    """The mask of a picture: NAME_mask.png or NAME.mask.png beside it, or masks/NAME.png; or in a folder of masks.

    In a `folder` that is named it may also be called as the picture is, and lie in a folder of the same name as the
    picture's. The suffix is that of any format, PNG first.
    """
    name = picture.path.stem
    if folder is None:
        beside = picture.path.parent
        stems = [beside / f"{name}_mask", beside / f"{name}.mask", beside / MASK_FOLDER / name]
    else:
        places = dict.fromkeys([folder / picture.inside, folder])
        stems = [place / f"{name}{word}" for place in places for word in ("", "_mask", ".mask")]
    return next((path for path in _with_suffixes(stems) if path.is_file() and path != picture.path), None)


def find_truth(picture: Found, folder: Path) -> Path | None:
    """The clean picture of the same name in a folder, or of the name without "_damaged"."""
    name = picture.path.stem
    places = dict.fromkeys([folder / picture.inside, folder])
    stems = [place / word for place in places for word in dict.fromkeys([name, name.removesuffix("_damaged")])]
    return next((path for path in _with_suffixes(stems) if path.is_file() and path != picture.path), None)


def _with_suffixes(stems: Iterable[Path]) -> Iterator[Path]:
    for stem in stems:
        for suffix in SUFFIXES:
            yield stem.with_name(stem.name + suffix)
            yield stem.with_name(stem.name + suffix.upper())


def beside(picture: Path, word: str = "restored") -> Path:
    """NAME_restored.png beside a picture; .tif for a TIFF, which PNG may not be able to hold."""
    suffix = ".tif" if picture.suffix.lower() in (".tif", ".tiff") else ".png"
    return picture.with_name(f"{picture.stem}_{word}{suffix}")


def place(picture: Found, option: Path, word: str, several: bool) -> Path:
    """Where to write what is made of a picture: the file that the option names, or a file in the folder that it names.

    With several pictures it always names a folder; with one, if it is a folder or has no suffix.

    Raises
    ------
    InputError
        If there are several pictures, and it is a file.
    """
    if several and option.exists() and not option.is_dir():
        raise InputError("this is a file, but of several pictures a folder is needed to write into", path=option)
    if option.suffix and not (several or option.is_dir()):
        return option
    name = beside(picture.path).name if word == "restored" else f"{picture.path.stem}_{word}.png"
    return option / picture.inside / name


def check_outputs(
    written: Iterable[Path], read: Iterable[Path], overwrite: bool, to_be_made: Collection[Path] = ()
) -> None:
    """Refuse, before the work, what cannot be written, is read, exists, or would be written twice.

    The folders `to_be_made` need not exist.

    Raises
    ------
    InputError
        If so.
    OSError
        If a folder is not to be written in.
    """
    written, read = list(written), list(read)
    for position, path in enumerate(written):
        if path.suffix.lower() not in SUFFIXES:
            raise InputError("pictures are written as .png, .jpg, .tif or .webp", path=path)
        if path.resolve() in [other.resolve() for other in written[:position]]:
            raise InputError("two pictures would be written to this file: choose another name", path=path)
        if path.exists() and any(source.exists() and path.samefile(source) for source in read):
            raise InputError("this would overwrite what is read: choose another name", path=path)
        folder = path.parent
        while path.parent in to_be_made and not folder.exists():
            folder = folder.parent
        check_writable(folder / path.name)
        if path.is_file() and not overwrite:
            raise InputError("this file exists: choose another name, or replace it with --overwrite", path=path)
