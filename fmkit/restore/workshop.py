"""One damaged picture file, from reading it to writing what is made of it; and many, one after the other."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from fmkit.errors import InputError
from fmkit.restore import find_damage, restore_image
from fmkit.restore.album import check_outputs, find_mask, find_truth
from fmkit.restore.finished import key_of
from fmkit.restore.jobs import Job, Outcome, Talk, Wishes
from fmkit.restore.kept_pages import KeptPages, hidden_beside
from fmkit.restore.lost import lost_by_alpha, lost_by_colour, lost_by_mask_file, opaque, parse_colour
from fmkit.restore.picture_file import (
    Picture,
    check_format,
    keeps_values,
    read_pages,
    without_alpha,
    write_pages,
    write_view,
)
from fmkit.restore.score import WINDOW, psnr, ssim
from fmkit.restore.views import displayed, heat_map, preview, scale_of, side_by_side

Masks = list[NDArray[np.bool_]]

NOTHING_FOUND = (
    "no damage was found, nothing written: --detect scratches (or dust, text, white, ...) looks for one kind, "
    "--min-confidence .25 for what may be some, --lost '#1428be' takes a colour, --mask what was painted"
)

NOT_TOLD = (
    "nothing says which pixels are lost: --mask or --lost does, --detect fills what looks damaged, and "
    "--preview FILE.png only shows it"
)


def restore_files(jobs: Iterable[Job], wishes: Wishes, talk: Callable[[Job], Talk]) -> Iterator[Outcome]:
    """Restore pictures one after the other; one that cannot be is told, and the others go on."""
    taken: dict[Path, Path] = {}
    for job in jobs:
        begin = time.perf_counter()
        try:
            if job.out in taken and not wishes.preview:
                raise InputError(
                    f"the answer would have the name of that of {taken[job.out]}: restore it by itself, with --out",
                    path=job.picture.path,
                )
            taken[job.out] = job.picture.path
            yield restore_file(job, wishes, talk(job))
        except (InputError, OSError, MemoryError) as error:
            yield Outcome(job.picture.path, words="failed", error=error, seconds=time.perf_counter() - begin)


def restore_file(job: Job, wishes: Wishes, talk: Talk) -> Outcome:
    """Restore a picture file, or draw what would be touched.

    Raises
    ------
    InputError
        If a file is not what it should be, or nothing says which pixels are lost and nobody can be asked.
    OSError
        If one cannot be read or written.
    """
    path, begin = job.picture.path, time.perf_counter()
    if job.several and job.out.is_file() and not (wishes.overwrite or wishes.preview):
        path.stat()  # one that is gone is no success, though it was restored before
        return Outcome(path, words=f"{job.out} exists: left as it is")
    mask_path, truth_path = _mask_path(job, wishes), _truth_path(job, wishes)
    pages = read_pages(path)
    written = [file for view in job.views.values() for file in _page_paths(view, len(pages))]
    written += [] if wishes.preview else [job.out]
    check_outputs(written, [path, *filter(None, (mask_path, truth_path))], wishes.overwrite, job.folders)
    if not wishes.preview:
        for page in pages:
            check_format(job.out, page, len(pages))
    truth = _read_truth(truth_path, pages) if truth_path else None
    outcome = Outcome(path, shape=pages[0].pixels.shape, n_pages=len(pages))

    lost = _told_lost(job, wishes, mask_path, pages, talk)
    if lost is None:
        if not (wishes.preview or talk.ask):
            raise InputError(NOT_TOLD, path=path)
        lost = _detected(pages, "auto", wishes)
        if not wishes.preview and not any(page.any() for page in lost):
            outcome.words = NOTHING_FOUND
            return outcome
        if not wishes.preview and not _confirmed(job, pages, lost, talk):
            outcome.words = "left as it is"
            return outcome
    outcome.n_lost, outcome.n_pixels = sum(int(page.sum()) for page in lost), sum(page.size for page in lost)
    if any(page.all() for page in lost):
        raise InputError("every pixel is lost, and nothing is known to fill them from", path=mask_path or path)
    if wishes.lost and wishes.lost != "alpha" and not keeps_values(path):
        talk.note(
            f"JPEG blurs what was {wishes.lost}: a mask, or --detect white, finds the lost pixels that are not quite"
        )
    _make(job.folders)

    if "mask" in job.views:
        _write_views(job.views["mask"], [page.astype(np.uint8) * 255 for page in lost])
        outcome.where = job.views["mask"]
    if wishes.preview:
        _write_preview(job.views["preview"], pages, lost)
        outcome.where = job.views["preview"]
        outcome.seconds = time.perf_counter() - begin
        return outcome
    if not keeps_values(job.out):
        talk.note("JPEG cannot keep the known pixels exactly: --out a .png, .tif or .webp can")
    answers, stds = _filled(job, wishes, pages, lost, talk)
    write_pages(job.out, answers, pages, wishes.keep_metadata)
    KeptPages(job.out).forget()
    outcome.where = job.out
    if "compare" in job.views:
        pairs = zip(pages, answers, strict=True)
        _write_views(job.views["compare"], [_compared(page, answer) for page, answer in pairs])
    if "uncertainty" in job.views:
        figures = job.views["uncertainty"].suffix.lower() in (".tif", ".tiff")
        _write_views(job.views["uncertainty"], [std if figures else heat_map(std) for std in stds])
    if truth:
        if not keeps_values(job.out):
            answers = [page.pixels for page in read_pages(job.out)]
        outcome.scores = _scores(truth, answers, lost)
    outcome.seconds = time.perf_counter() - begin
    return outcome


def _mask_path(job: Job, wishes: Wishes) -> Path | None:
    if wishes.mask and wishes.mask.is_dir():
        found = find_mask(job.picture, wishes.mask)
        if not found:
            name = job.picture.path.stem
            raise InputError(f"no mask of this picture is in {wishes.mask}: {name}.png, {name}_mask.png or "
                             f"{name}.mask.png", path=job.picture.path)  # fmt: skip
        return found
    if wishes.mask or wishes.lost or wishes.detect:
        return wishes.mask
    return find_mask(job.picture)


def _truth_path(job: Job, wishes: Wishes) -> Path | None:
    if not wishes.truth or not wishes.truth.is_dir():
        return wishes.truth
    found = find_truth(job.picture, wishes.truth)
    if not found:
        raise InputError(f"no picture of this name is in {wishes.truth}", path=job.picture.path)
    return found


def _read_truth(path: Path, pages: Sequence[Picture]) -> list[Picture]:
    truth = read_pages(path)
    kinds = [[(page.colours.shape, page.pixels.dtype) for page in some] for some in (truth, pages)]
    if kinds[0] != kinds[1]:
        told = [f"{len(some)} x {some[0]}" if len(some) > 1 else f"{some[0][0]} {some[0][1]}" for some in kinds]
        raise InputError(f"the true picture is {told[0]}, the damaged one {told[1]}: they must be alike", path=path)
    return truth


def _told_lost(job: Job, wishes: Wishes, mask_path: Path | None, pages: Sequence[Picture], talk: Talk) -> Masks | None:
    """What the mask, the options and the picture itself say; None if they say nothing."""
    unknown = [np.isnan(page.colours.reshape(*page.pixels.shape[:2], -1)).any(axis=2) for page in pages]
    if mask_path:
        lost = lost_by_mask_file(mask_path, pages, talk.note)
    elif wishes.lost == "alpha":
        lost = [lost_by_alpha(page, job.picture.path) for page in pages]
    elif wishes.lost:
        colour = parse_colour(wishes.lost)
        lost = [lost_by_colour(page.pixels, colour) for page in pages]
    elif wishes.detect:
        lost = _detected(pages, wishes.detect, wishes)
    elif wishes.denoise or any(page.any() for page in unknown):
        lost = unknown
    elif wishes.yes:
        lost = _detected(pages, "auto", wishes)
    else:
        return None
    return [page | holes for page, holes in zip(lost, unknown, strict=True)]


def _detected(pages: Sequence[Picture], kind: Any, wishes: Wishes) -> Masks:
    how: Any = {"min_confidence": wishes.min_confidence, "n_jobs": wishes.jobs}
    return [np.asarray(find_damage(page.colours, kind, **how).mask) for page in pages]


def _confirmed(job: Job, pages: Sequence[Picture], lost: Masks, talk: Talk) -> bool:
    """Show what would be touched, and ask; the preview stays if the answer is no."""
    path = job.picture.path
    assert talk.ask
    _make(job.folders)
    view = _unused(job.out.with_name(f"{path.stem}_preview.png"))
    shown = _write_preview(view, pages, lost)
    n_regions = sum(int(label(page, np.ones((3, 3)))[1]) for page in lost)
    share = sum(page.sum() for page in lost) / sum(page.size for page in lost)
    places = f"{n_regions:,} place{'s' * (n_regions != 1)}"
    yes = talk.ask(f"{path}: {share:.2%} of the pixels look damaged, in {places}; {shown[0]} shows them. Fill them?")
    if yes:
        for file in shown:
            file.unlink(missing_ok=True)
    return yes


def _make(folders: Iterable[Path]) -> None:
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)


def _unused(path: Path) -> Path:
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}{number}{path.suffix}")
    return free


def _filled(
    job: Job, wishes: Wishes, pages: Sequence[Picture], lost: Masks, talk: Talk
) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Every page filled and, where they are wished for, its standard deviations."""
    options: dict[str, Any] = {
        "method": wishes.method,
        "quality": wishes.quality,
        "denoise": wishes.denoise,
        "return_std": "uncertainty" in job.views,
        "random_state": wishes.seed,
    }
    kept = KeptPages(job.out)
    answers, stds = [], []
    for number, (page, mask) in enumerate(zip(pages, lost, strict=True)):

        def progress(done: int, total: int, before: int = number) -> None:
            talk.progress(before * total + done, len(pages) * total)

        several = len(pages) > 1
        key = key_of([page.pixels, mask], options).hex() if several else ""
        made = kept.taken_up(number, key) if several else None
        if made is None:
            checkpoint = checkpoint_of(job.out, f".{number + 1}" if several else "")
            answer: Any = restore_image(
                page.pixels, mask, n_jobs=wishes.jobs, checkpoint=checkpoint, progress=progress, **options
            )
            made = list(answer) if options["return_std"] else [answer]
            if several:
                kept.keep(number, key, made)
        if wishes.lost == "alpha":
            made[0][mask, -1] = opaque(page)
        answers.append(made[0])
        stds += made[1:]
    return answers, stds


def checkpoint_of(out: Path, page: str = "") -> Path:
    """Where finished tiles of a large picture are kept until it is done."""
    return out.with_name(f".{out.name}{page}.tiles")


def is_half_done(out: Path) -> bool:
    """Whether finished parts are kept, so that a second start goes on."""
    return bool(hidden_beside(out, ".tiles") or hidden_beside(out, ".page"))


def _scores(truth: Sequence[Picture], answers: Sequence[NDArray[Any]], lost: Masks) -> dict[str, float]:
    """Means over pages; over the lost part those of pages that lost any."""
    triples = zip(truth, answers, lost, strict=True)
    pages = [(true.colours, without_alpha(answer), mask) for true, answer, mask in triples]
    damaged = [page for page in pages if page[2].any()]
    scores = {}
    for name, score in (("PSNR", psnr), ("SSIM", ssim)):
        if score is ssim and min(min(true.shape[:2]) for true, _, _ in pages) < WINDOW:
            break
        if damaged:
            scores[f"{name} lost"] = float(np.mean([score(*page) for page in damaged]))
        scores[f"{name} all"] = float(np.mean([score(true, answer) for true, answer, _ in pages]))
    return scores


def _compared(page: Picture, answer: NDArray[Any]) -> NDArray[np.uint8]:
    before, after = page.colours, without_alpha(answer)
    scale = scale_of(after)
    return side_by_side(displayed(before, scale), displayed(after, scale))


def _write_preview(path: Path, pages: Sequence[Picture], lost: Masks) -> list[Path]:
    return _write_views(path, [preview(displayed(page.colours), mask) for page, mask in zip(pages, lost, strict=True)])


def _write_views(path: Path, views: Sequence[NDArray[Any]]) -> list[Path]:
    paths = _page_paths(path, len(views))
    if len(paths) == 1:
        write_view(path, views)
    else:
        for file, view in zip(paths, views, strict=True):
            write_view(file, [view])
    return paths


def _page_paths(path: Path, n_pages: int) -> list[Path]:
    """A file with all pages if it is a TIFF, or NAME-1.png, NAME-2.png, ..."""
    if n_pages == 1 or path.suffix.lower() in (".tif", ".tiff"):
        return [path]
    return [path.with_name(f"{path.stem}-{number + 1}{path.suffix}") for number in range(n_pages)]
