"""How the book is built: `make docs`. Pages that compute are computed then, and a warning is an error."""

import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from benchmark_pages import write_benchmarks  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402

import fmkit  # noqa: E402

project, author, copyright = "fmkit", "The fmkit developers", "The fmkit developers"
version = release = fmkit.__version__

extensions = [
    "myst_nb",  # runs the code of pages, and shows what it prints and draws
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
    "sphinxcontrib.programoutput",  # runs command lines, and shows what they print
]
exclude_patterns = ["_build", "_run"]
root_doc = "index"

# Pages that run: those with `file_format: mystnb` on top, each from an empty folder, anew in every build.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 240
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autosummary_generate = True
autosummary_ignore_module_all = False
autosummary_imported_members = True
templates_path = ["_templates"]
autodoc_typehints = "none"  # docstrings have them, with what they mean
autodoc_member_order = "groupwise"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # some attributes are properties, with a docstring of their own

html_theme = "furo"
html_title = "fmkit"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_show_sourcelink = False
# The system's letters: a page of the book asks nothing of any server but its own.
pygments_style, pygments_dark_style = "friendly", "monokai"

# Command lines of pages run here, one folder a page; `fmkit` is that of the environment that builds.
RUN = HERE / "_run"
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
programoutput_prompt_template = "$ {command}\n{output}"

# Kernels show matplotlib's figures; what they keep of a session lies beside.
os.environ["IPYTHONDIR"] = str(RUN / "ipython")
KERNEL = """
c.IPKernelApp.log_level = "ERROR"
c.InteractiveShellApp.matplotlib = "inline"
c.InlineBackend.figure_formats = ["png"]
c.InlineBackend.print_figure_kwargs = {"dpi": 110}
c.InteractiveShellApp.exec_lines = ["import pandas", "pandas.set_option('display.max_colwidth', 100)"]
"""


def foreign(app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object) -> bool | None:
    """Leave out what classes have from scikit-learn and Spark: their own books describe it."""
    home = getattr(obj, "__module__", None) or type(obj).__module__
    return True if home.partition(".")[0] in ("sklearn", "pyspark") else None


def setup(app: Sphinx) -> None:
    """Empty the folder of command lines, and write the page of benchmarks."""
    app.connect("autodoc-skip-member", foreign)
    shutil.rmtree(RUN, ignore_errors=True)
    for page in ("start", "archivist"):
        (RUN / page).mkdir(parents=True)
        shutil.copy(HERE.parent / "datasets" / "harvesters" / "harvesters.jpg", RUN / page)
    profile = RUN / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_kernel_config.py").write_text(KERNEL, "utf-8")
    write_benchmarks(HERE.parent / "benchmarks" / "results", HERE / "benchmarks.md")
