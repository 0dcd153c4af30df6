"""`fmkit restore`: damaged pictures in, pictures with their lost pixels filled out."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fmkit.cli._bars import PicturesBar
from fmkit.cli._sentences import sentence_of
from fmkit.cli._tables import FORMATS, print_table

if TYPE_CHECKING:
    from fmkit.restore.jobs import Job, Outcome, Talk, Wishes

FILE = click.Path(path_type=Path)
DETECTORS = ("auto", "scratches", "dust", "white", "text")


class _RestoreCommand(click.Command):
    """`--detect` alone means `--detect auto`, also if the next word is a picture."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = [
            "--detect=auto" if word == "--detect" and _is_no_kind(after) else word
            for word, after in pairwise([*args, ""])
        ]
        return super().parse_args(ctx, words)


def _is_no_kind(word: str) -> bool:
    """Whether it is meant as a picture or an option; a kind with a slip of the pen is not."""
    return (
        not word or word.startswith("-") or bool(Path(word).suffix) or len(Path(word).parts) > 1 or Path(word).exists()
    )


@click.command(cls=_RestoreCommand)
@click.argument("pictures", nargs=-1, required=True, type=FILE, metavar="PICTURE...")
@click.option("--mask", type=FILE, metavar="PATH", help="A picture that is white where pixels are lost, or a folder.")
@click.option("--lost", metavar="COLOUR", help="Lost are pixels of it: white, black, #rrggbb, ..., or alpha.")
@click.option("--detect", type=click.Choice(DETECTORS), help="Find what is damaged; alone: auto.")
@click.option(
    "--min-confidence",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="P",
    help="Mark what is damage with this probability; the default is what is sure, .25 finds much more.",
)
@click.option("--yes", is_flag=True, help="Where nothing says what is lost: detect, and do not ask.")
@click.option("--out", type=FILE, metavar="PATH", help="Where to write: .png, .jpg, .tif or .webp, or a folder.")
@click.option("--recursive", is_flag=True, help="Look into folders inside folders.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("--preview", type=FILE, metavar="PATH", help="Restore nothing: draw what would be touched, red.")
@click.option("--save-mask", type=FILE, metavar="PATH", help="Write what is lost as a mask, to be edited.")
@click.option("--compare", type=FILE, metavar="PATH", help="Draw before and after side by side.")
@click.option("--uncertainty", type=FILE, metavar="PATH", help="Draw the standard deviations (.tif: the figures).")
@click.option("--truth", type=FILE, metavar="PATH", help="The clean picture, or a folder: print PSNR and SSIM.")
@click.option(
    "--quality",
    type=click.Choice(["fast", "balanced", "best"]),
    default="balanced",
    show_default=True,
    help="Or time.",
)
@click.option(
    "--method",
    type=click.Choice(["auto", "patches", "als", "sgd", "mcmc"]),
    default="auto",
    show_default=True,
    help="How to fill.",
)
@click.option("--denoise", is_flag=True, help="Take the noise from pixels that are not lost, too.")
@click.option("--keep-metadata/--no-keep-metadata", default=True, show_default=True, help="EXIF, ICC, XMP, dpi.")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1), help="Of the grids of patches."
)
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Threads; the default is every core.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="On stdout.")
@click.option("--quiet", is_flag=True, help="No notes and no progress bar on stderr.")
def restore(pictures: tuple[Path, ...], recursive: bool, form: str, quiet: bool, **options: Any) -> None:
    """Fill the lost pixels of every PICTURE, a file (PNG, JPEG, TIFF, WebP) or a folder of them.

    Gray or RGB, 8 or 16 bits or floats, with alpha or without, all pages of a TIFF. Pixels that are not lost keep
    their values (not if --out is a JPEG, nor with --denoise).

    \b
    What is lost is said by the first of these that there is:
      --mask          pixels at least half bright; the mask lies upon the
                      picture as it is displayed, turned upright as its EXIF
                      data says. A folder holds NAME.png, NAME_mask.png or
                      NAME.mask.png for every NAME.jpg
      --lost          pixels of exactly this colour, or transparent ones,
                      which become opaque
      --detect        what looks damaged
      a mask beside   NAME_mask.png, NAME.mask.png or masks/NAME.png
    Without any, what looks damaged is shown, and filled only after a yes.

    \b
    What is written, for NAME.jpg:
      NAME_restored.png beside it (.tif for a TIFF), or --out: a file for
      one picture, a folder for several (or if it has no suffix), as for
      --preview, --save-mask, --compare and --uncertainty, which write
      NAME_preview.png and so on into theirs. Nothing that exists is replaced without --overwrite;
      of several pictures, those with an answer already are left as they are.

    Ctrl-C keeps the finished parts of a large picture in a hidden file beside the answer, and the same command goes
    on from there. Exit status: 0 all done, 1 some of several pictures failed, 2 nothing could be done.

    \b
    fmkit restore photo.jpg                      (finds the damage, and asks)
    fmkit restore photo.jpg --mask scratches.png --compare before_after.png
    fmkit restore scan.tif --lost white --out filled.tif
    fmkit restore scans/ --recursive --detect dust --out restored/
    """
    told = [f"--{name}" for name in ("mask", "lost", "detect") if options[name]]
    if len(told) > 1:
        raise click.UsageError(f"{' and '.join(told)} both say what is lost: one is enough")
    if options["min_confidence"] is not None and told not in ([], ["--detect"]):
        raise click.UsageError(f"--min-confidence is of what is looked for, and {told[0]} says what is lost")

    from fmkit.restore.album import find_pictures
    from fmkit.restore.jobs import Job, Talk, Wishes
    from fmkit.restore.workshop import is_half_done, restore_file, restore_files

    wishes = Wishes(**options)
    wishes.check()
    found = find_pictures(pictures, recursive)
    several = len(found) > 1 or any(path.is_dir() for path in pictures)
    jobs = [Job.of(picture, wishes, several) for picture in found]
    outcomes: list[Outcome] = []
    bar = PicturesBar([job.picture.path for job in jobs], quiet)

    def note(sentence: str) -> None:
        if not quiet:
            bar.say(f"fmkit: {sentence}")

    def talk(job: Job) -> Talk:
        bar.begin(job.picture.path)
        place = f"{job.picture.path}: " if several else ""
        return Talk(lambda sentence: note(place + sentence), bar.show, _confirm(bar) if _on_a_terminal() else None)

    try:
        if not several:
            outcomes.append(restore_file(jobs[0], wishes, talk(jobs[0])))
            note(_told(outcomes[0], wishes))
        else:
            for outcome in restore_files(jobs, wishes, talk):
                outcomes.append(outcome)
                if outcome.error:
                    bar.say(f"fmkit: {_in_place(outcome)}")
    except KeyboardInterrupt:
        out = jobs[len(outcomes)].out
        if is_half_done(out):
            note(f"finished parts of {out} are kept: the same command goes on from there")
        raise
    finally:
        bar.close()
    if several or any(outcome.scores for outcome in outcomes):
        _print_outcomes(outcomes, form)
    if any(outcome.error for outcome in outcomes):
        click.get_current_context().exit(1)


def _on_a_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _confirm(bar: PicturesBar) -> Any:
    def ask(question: str) -> bool:
        bar.clear()
        return click.confirm(f"fmkit: {question}", err=True)

    return ask


def _in_place(outcome: Outcome) -> str:
    """The error's sentence, with the picture's name if it does not hold it."""
    assert outcome.error
    sentence, name = sentence_of(outcome.error), str(outcome.picture)
    return sentence if name in sentence else f"{name}: {sentence}"


def _told(outcome: Outcome, wishes: Wishes) -> str:
    """What became of one picture, in a sentence."""
    if outcome.words or not outcome.where:
        return f"{outcome.picture}: {outcome.words}"
    if wishes.preview:
        return f"{outcome.n_lost:,} of {outcome.n_pixels:,} pixels would be filled: {outcome.where}"
    if outcome.n_lost:
        return f"{outcome.n_lost:,} of {outcome.n_pixels:,} pixels filled: {outcome.where}"
    return f"no pixel is lost, {outcome.where} {'only has less noise' if wishes.denoise else 'is a copy'}"


def _print_outcomes(outcomes: list[Outcome], form: str) -> None:
    scores = list(dict.fromkeys(name for outcome in outcomes for name in outcome.scores))
    rows = []
    for outcome in outcomes:
        size = f"{outcome.shape[1]} x {outcome.shape[0]}" if outcome.shape else None
        if outcome.n_pages > 1:
            size = f"{outcome.n_pages} pages, {size}"
        lost = None if outcome.lost is None else 100 * outcome.lost
        where = str(outcome.where) if outcome.where else outcome.words
        figures = [outcome.scores.get(name) for name in scores]
        rows.append([str(outcome.picture), size, lost, outcome.seconds, *figures, where])
    print_table(["picture", "size", "lost %", "seconds", *scores, "where"], rows, form)
