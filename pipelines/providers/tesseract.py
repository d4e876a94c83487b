"""Tesseract, where no vision model is set: the image of a page goes in, its paragraphs come out."""

from __future__ import annotations

import re
import shutil
import subprocess
from threading import BoundedSemaphore

from pipelines.errors import DeadlineExceeded, ModelFailed, ModelUnavailable
from pipelines.ingest.formats.clean import clean_line
from pipelines.ingest.formats.flow import full_width, join_lines
from pipelines.providers.base import VisionProvider
from pipelines.settings import inherited_environment

ELSEWHERE = ("/usr/local/bin", "/opt/homebrew/bin")
"""Where Tesseract is when the system did not bring it; our own PATH names the system's folders only."""

_NO_DATA = re.compile(r"^Failed loading language '(?!osd')(.+)'$", re.MULTILINE)
"""Said also when other languages were loaded. Without `osd` pages that stand upright are still read."""

_MARKUP = re.compile(r"[\\`*_\[\]<>|&~]|^[#+=-]", re.MULTILINE)
_NUMBERED = re.compile(r"^(\d{1,9})([.)])", re.MULTILINE)


def find_tesseract(languages: str = "eng", *, parallel: int, timeout_s: float) -> Tesseract | None:
    """Tesseract on this machine, or None where it is not installed. For the arguments see `Tesseract`."""
    path = ":".join((inherited_environment()["PATH"], *ELSEWHERE))
    program = shutil.which("tesseract", path=path)
    return Tesseract(program, languages, parallel=parallel, timeout_s=timeout_s) if program else None


class Tesseract(VisionProvider):
    """The `tesseract` program: a process a page, each on one core, so that pages are read side by side."""

    def __init__(self, program: str, languages: str = "eng", *, parallel: int, timeout_s: float) -> None:
        """`languages` are Tesseract's names joined by +, as in eng+deu. `timeout_s` is for one page."""
        self.name = f"tesseract/{languages}"
        self.parallel = parallel
        self._timeout_s = timeout_s
        # Page segmentation 1 turns pages that lie on their side; the default reads them as noise.
        self._command = [program, "stdin", "stdout", "-l", languages, "--psm", "1"]
        self._environment = {**inherited_environment(), "OMP_THREAD_LIMIT": "1"}
        self._places = BoundedSemaphore(parallel)  # several documents may be read at the same time

    def read_page(self, image: bytes) -> str:
        with self._places:
            done = self._run(image)
        said = done.stderr.decode(errors="replace")
        if missing := _NO_DATA.findall(said):
            packages = " ".join(f"tesseract-ocr-{language.lower().replace('_', '-')}" for language in missing)
            raise ModelUnavailable(
                f"Tesseract has no data for {', '.join(missing)}; "
                f"install {packages} (Debian, Ubuntu), or change TESSERACT_LANGUAGES."
            )
        if done.returncode:
            reason = said.strip().splitlines()[-1:] or [f"it ended with {done.returncode}"]
            raise ModelFailed(f"Tesseract could not read the page: {reason[0].rstrip('.')}.")
        return _paragraphs(done.stdout.decode(errors="replace"))

    def _run(self, image: bytes) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                self._command,
                input=image,
                capture_output=True,
                env=self._environment,
                timeout=self._timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DeadlineExceeded(f"Tesseract took more than {self._timeout_s:g} s for a page.") from error
        except OSError as error:
            raise ModelUnavailable(f"Tesseract cannot be started: {error.strerror}; install tesseract-ocr.") from error


def _paragraphs(text: str) -> str:
    """Tesseract's lines, an empty one between paragraphs, as Markdown that says the same and nothing more."""
    groups: list[list[str]] = [[]]
    for line in map(clean_line, text.splitlines()):
        if line:
            groups[-1].append(line)
        else:
            groups.append([])
    width = full_width([line for group in groups for line in group])
    paragraphs = [paragraph for group in groups for paragraph in join_lines(group, width)]
    return "\n\n".join(map(_as_markdown, paragraphs))


def _as_markdown(text: str) -> str:
    escaped = _NUMBERED.sub(r"\1\\\2", _MARKUP.sub(r"\\\g<0>", text))
    return escaped.replace("\n", "\\\n")
