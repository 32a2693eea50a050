"""The commands to measure: Model Gate, its floor (the fastest known tools), and the plain way with MLflow."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

from benchmarks.environment import BIN, ROOT, clean_environment
from benchmarks.measure import Command
from benchmarks.rclone import rclone_bucket, rclone_variables
from benchmarks.servers import PlacedModel
from benchmarks.stored_model import StoredModel
from tests.support.emulators import INSTALLED

_ARTIFACTS = "api/2.0/mlflow-artifacts/artifacts"
_IMPORT = "import mlflow"
_QUIET = ("fail", "silent", "show-error")


@dataclass(frozen=True)
class Part:
    """A file of a model, or its bytes from `begin` to `end` (exclusive)."""

    path: str
    begin: int | None = None
    end: int | None = None


class Programs:
    """Builds the commands to measure, and writes their configuration files.

    Args:
        directory: An empty directory for the configuration files. It must exist while the commands run.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._scratch = directory / "scratch"
        self._environment = clean_environment(self._scratch)
        self._files = 0

    def compare(self, model: PlacedModel, urls: Sequence[str] = (), *options: str, exit_code: int = 0) -> Command:
        """Return the command `model-gate compare` for a model and its copy on the other server."""
        lines = [
            f"tracking_server_{number}: {{host: '{url}', model: '{model.name}', version_or_stage: '1'}}"
            for number, url in enumerate(urls or _urls(model), start=1)
        ]
        config = self._file("compare.yaml", "\n".join(lines))
        return self._command(
            [str(BIN / "model-gate"), "compare", "--config-file", str(config), *self._report(), *options],
            exit_code=exit_code,
        )

    def run(self, gates: Sequence[PlacedModel]) -> Command:
        """Return the command `model-gate run` for models and their copies on the other server, one gate each."""
        lines = ["gates:"]
        for model in gates:
            sides = [
                f"tracking_server_{number}: {{host: '{url}', model: '{model.name}', version_or_stage: '1'}}"
                for number, url in enumerate(_urls(model), start=1)
            ]
            lines.append(f"  {model.name}: {{{', '.join(sides)}}}")
        config = self._file("gates.yaml", "\n".join(lines))
        return self._command([str(BIN / "model-gate"), "run", str(config), *self._report()])

    def diff(self, left: Path, right: Path) -> Command:
        """Return the command `model-gate diff` for two local directories."""
        return self._command([str(BIN / "model-gate"), "diff", str(left), str(right), *self._report()])

    def store_diff(self, stored: StoredModel, exit_code: int = 0) -> Command:
        """Return the command `model-gate diff` for both copies of a model in an object store."""
        argv = [str(BIN / "model-gate"), "diff", *stored.locations, *self._report()]
        return self._in_store(stored, self._command(argv, exit_code=exit_code))

    def store_download(self, stored: StoredModel, client: str, threads: int, ranges: int = 1) -> Command:
        """Return a command that downloads both copies of a model with one process, and compares them with `diff -r`.

        `client` is `obstore`, or `own` for the client of the cloud. obstore downloads a large object in `ranges`
        ranges.
        """
        argv = [sys.executable, "-m", "benchmarks.store_clients", client, stored.emulator.cloud, str(self._scratch)]
        argv += [str(threads), str(ranges), *stored.prefixes]
        return self._in_store(stored, self._command(_shell(argv, self._diff_of(stored))))

    def rclone(self, stored: StoredModel) -> Command:
        """Return a command that downloads both copies of a model with `rclone` at once, and compares them."""
        program = [str(INSTALLED / "tools/bin/rclone"), "copy", "--transfers", "16", "--checkers", "16"]
        first, second = (
            shlex.join([*program, f"{rclone_bucket(stored.emulator)}/{prefix}", str(self._scratch / prefix)])
            for prefix in stored.prefixes
        )
        script = f"{first} & first=$!; {second} && wait $first && {shlex.join(self._diff_of(stored))}"
        return self._in_store(stored, self._command(["sh", "-c", script]))

    def _diff_of(self, stored: StoredModel) -> list[str]:
        return ["diff", "-r", *(str(self._scratch / prefix) for prefix in stored.prefixes)]

    def _in_store(self, stored: StoredModel, command: Command) -> Command:
        emulator = stored.emulator
        variables = emulator.variables(stored.url) | rclone_variables(emulator, stored.url)
        return replace(command, environment=self._environment | variables | {"PYTHONPATH": str(ROOT)})

    def plain(self, model: PlacedModel, urls: Sequence[str] = ()) -> Command:
        """Return a command that downloads both models with MLflow and compares them."""
        argv = [sys.executable, "-m", "benchmarks.plain", str(self._scratch / "plain")]
        for url in urls or _urls(model):
            argv += [url, model.name]
        return replace(self._command(argv), environment=self._environment | {"PYTHONPATH": str(ROOT)})

    def plain_diff(self, left: Path, right: Path) -> Command:
        """Return a command that compares two local directories with `filecmp`."""
        command = self._command([sys.executable, "-m", "benchmarks.plain", str(left), str(right)])
        return replace(command, environment=self._environment | {"PYTHONPATH": str(ROOT)})

    @staticmethod
    def twice(command: Command) -> Command:
        """Return a command that runs `command` twice, and empties its scratch directory between the two runs."""
        empty = ["find", str(command.scratch), "-mindepth", "1", "-delete"]
        return replace(command, argv=_shell(command.argv, empty, command.argv))

    def curl(
        self, model: PlacedModel, connections: int, urls: Sequence[str] = (), parts: Sequence[Part] | None = None
    ) -> Command:
        """Return a command that downloads the files of both models with `curl` and compares them.

        `parts` selects files or byte ranges to download; None for all files. `connections` is the number of parallel
        connections.
        """
        left, right = self._scratch / "left", self._scratch / "right"
        parts = [Part(path) for path in files_of(model.directories[0])] if parts is None else parts
        lines: list[str] = []
        for part in parts:
            for number, directory in enumerate((left, right)):
                base = model.servers[number].artifact_path(model.directories[number])
                url = (urls or _urls(model))[number]
                suffix = "" if part.begin is None else f".{part.begin:012}"
                # Each transfer of a range has its own options, which start after `next`.
                lines += ["next"] if lines and part.begin is not None else []
                lines += [f"range = {part.begin}-{part.end - 1}"] if part.end is not None else []
                lines += [f'url = "{url}/{_ARTIFACTS}/{quote(base)}/{quote(part.path)}"']
                lines += [f'output = "{directory}/{part.path}{suffix}"', *_QUIET]
        config = self._file("curl.config", "\n".join(lines))
        fetch = ["curl", "--parallel", "--parallel-max", str(connections), "--config", str(config)]
        is_single = len(parts) == 1
        names = (str(left / parts[0].path), str(right / parts[0].path)) if is_single else (str(left), str(right))
        compare = ["cmp", *names] if is_single else ["diff", "-r", *names]
        directories = sorted({os.path.dirname(part.path) for part in parts})

        def prepare() -> None:
            for root in (left, right):
                for directory in directories:
                    (root / directory).mkdir(parents=True, exist_ok=True)

        return self._command(_shell(fetch, compare), prepare=prepare)

    def curl_stream(self, model: PlacedModel, path: str) -> Command:
        """Return a command that compares a file of both models with `cmp` while two `curl` processes download it."""
        curl = ["curl", *(f"--{option}" for option in _QUIET)]
        streams = [
            f"<({shlex.join([*curl, f'{server.url}/{_ARTIFACTS}/{quote(server.artifact_path(directory))}/{path}'])})"
            for server, directory in zip(model.servers, model.directories, strict=True)
        ]
        return self._command(["bash", "-c", f"cmp {' '.join(streams)}"])

    def listing(self, model: PlacedModel, urls: Sequence[str] = ()) -> Command:
        """Return a command that downloads the listings of all directories of both models with one `curl`."""
        lines = [*_QUIET]
        for server, directory, url in zip(model.servers, model.directories, urls or _urls(model), strict=True):
            base = server.artifact_path(directory)
            directories = [path for path, _, _ in os.walk(directory)]
            for path in (os.path.relpath(each, directory) for each in directories):
                listed = base if path == "." else f"{base}/{path}"
                lines += [f'url = "{url}/{_ARTIFACTS}?path={quote(listed)}"', 'output = "/dev/null"']
        config = self._file("listing.config", "\n".join(lines))
        return self._command(["curl", "--parallel", "--parallel-max", "8", "--config", str(config)])

    def client_call(self, model: PlacedModel, number: int) -> list[str]:
        """Return the command of a process that imports MLflow and requests the version from one server."""
        url = model.servers[number].url
        code = f"{_IMPORT}; mlflow.MlflowClient({url!r}, {url!r}).get_model_version({model.name!r}, '1')"
        return [sys.executable, "-c", code]

    def command(self, argv: Sequence[str]) -> Command:
        """Return a command that runs one program."""
        return self._command(argv)

    def side_by_side(self, *commands: Sequence[str]) -> Command:
        """Return a command that starts several programs together and waits for all."""
        return self._command(["sh", "-c", "".join(f"{shlex.join(each)} & " for each in commands) + "wait"])

    def diff_rq(self, left: Path, right: Path) -> Command:
        """Return a command that starts Python once and then runs `diff -rq`."""
        return self._command(_shell([sys.executable, "-c", "pass"], ["diff", "-rq", str(left), str(right)]))

    def seal(self, model: Path) -> Command:
        """Return the command `model-gate seal` for a local directory."""
        return self._command([str(BIN / "model-gate"), "seal", str(model), *self._seal("--output"), *self._report()])

    def verify(self, model: Path) -> Command:
        """Return the command `model-gate verify` for a local directory. The command `seal` must have run before."""
        return self._command([str(BIN / "model-gate"), "verify", str(model), *self._seal("--seal"), *self._report()])

    def sha256sum(self, model: Path) -> Command:
        """Return a command that runs `sha256sum` on all files, in as many processes as there are processors."""
        files = f"find {shlex.quote(str(model))} -type f -print0"
        processes = len(os.sched_getaffinity(0))
        return self._command(["sh", "-c", f"{files} | xargs -0 -n 100 -P {processes} sha256sum > /dev/null"])

    def sign(self, model: Path) -> Command | None:
        """Return the command `model_signing sign key` with a new key; None if the tool is not installed."""
        key = ["--private_key", str(self._key)]
        return self._model_signing("sign", model, key)

    def verify_signature(self, model: Path) -> Command | None:
        """Return `model_signing verify key` for the signature of `sign`; None if the tool is not installed."""
        key = ["--public_key", str(self._key.with_suffix(".pub"))]
        return self._model_signing("verify", model, key)

    def _model_signing(self, command: str, model: Path, key: list[str]) -> Command | None:
        program = BIN / "model_signing"
        if not program.exists():
            return None
        if not self._key.exists():
            curve = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(self._key)]
            public = ["openssl", "ec", "-in", str(self._key), "-pubout", "-out", str(self._key.with_suffix(".pub"))]
            for each in (curve, public):
                subprocess.run(each, check=True, capture_output=True)
        signature = str(self._directory / "model.sig")
        return self._command([str(program), command, "key", str(model), "--signature", signature, *key])

    @property
    def _key(self) -> Path:
        return self._directory / "key"

    def _seal(self, option: str) -> list[str]:
        return [option, str(self._directory / "seal.json")]

    def _command(
        self, argv: Sequence[str], *, exit_code: int = 0, prepare: Callable[[], None] = lambda: None
    ) -> Command:
        return Command(argv, self._environment, self._scratch, exit_code, prepare)

    def _report(self) -> list[str]:
        return ["--report-file", str(self._directory / "report.json")]

    def _file(self, name: str, text: str) -> Path:
        self._files += 1
        file = self._directory / f"{self._files:03}-{name}"
        file.write_text(text + "\n", "utf-8")
        return file


def files_of(directory: Path) -> list[str]:
    """Return the relative paths of all files below a directory."""
    return sorted(file.relative_to(directory).as_posix() for file in directory.rglob("*") if file.is_file())


def ranges_of(path: str, size: int, pieces: int) -> list[Part]:
    """Split a file into `pieces` ranges of equal size. If `pieces` is 1, return the whole file without a range."""
    if pieces == 1:
        return [Part(path)]
    ends = [size * piece // pieces for piece in range(pieces + 1)]
    return [Part(path, begin, end) for begin, end in pairwise(ends)]


def _urls(model: PlacedModel) -> tuple[str, str]:
    return model.servers[0].url, model.servers[1].url


def _shell(*commands: Sequence[str]) -> list[str]:
    return ["sh", "-c", " && ".join(shlex.join(each) for each in commands)]


def importing(processes: int, seconds: float) -> list[list[str]]:
    """Return the commands of `processes` processes that import MLflow and then sleep for `seconds` seconds."""
    return [[sys.executable, "-c", f"{_IMPORT}, time; time.sleep({seconds})"] for _ in range(processes)]
