"""Where everything is: the checkout and the state folder go in, the paths of the native run come out."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir

MARKER = "RAGLINE_STATE"
"""The environment variable that every process of a stack carries: the path of its state folder."""

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one stack. `state` is absolute; `checkout` holds the requirement files and the workflows."""

    state: Path
    checkout: Path = CHECKOUT

    @classmethod
    def of(cls, state_dir: Path) -> Layout:
        """The layout under `state_dir`, which counts from the current folder when it is relative."""
        return cls(state_dir.resolve())

    @property
    def uv(self) -> Path:
        return self.state / "env/uv/bin/uv"

    @property
    def pipelines_env(self) -> Path:
        return self.state / "env/pipelines"

    @property
    def open_webui_env(self) -> Path:
        return self.state / "env/open-webui"

    @property
    def n8n_env(self) -> Path:
        return self.state / "env/n8n"

    @property
    def postgres_data(self) -> Path:
        return self.state / "data/postgres"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def run(self) -> Path:
        """What is true only while the stack runs; `make down` leaves it empty."""
        return self.state / "run"

    @property
    def secrets(self) -> Path:
        return self.state / "secrets"

    @property
    def socket_folder(self) -> Path:
        """A short path: a Unix socket's may have 107 characters, and a checkout can be deeper than that."""
        return Path(gettempdir()) / f"ragline-{sha256(str(self.state).encode()).hexdigest()[:12]}"

    def data(self, part: str) -> Path:
        return self.state / "data" / part

    def variables(self, part: str) -> Path:
        """What a part is told in every deployment."""
        return self.checkout / "compose" / f"{part}.env"

    def log(self, part: str) -> Path:
        return self.logs / f"{part}.log"

    def prepare(self) -> None:
        """Make the folders; those that hold secrets or data are closed to other users."""
        for folder in (self.state, self.state / "env", self.state / "data"):
            folder.mkdir(parents=True, exist_ok=True)
        for private in (self.logs, self.run, self.secrets, self.data("n8n"), self.data("open-webui")):
            private.mkdir(exist_ok=True, mode=0o700)
