"""Kafka's jars: resolved once into `deploy/kafka/jars.lock`, fetched by jgo, verified before every use.

The lock has one line a jar, ``group:artifact:version sha256``. `fraudstream broker lock` writes it anew.
Jars live in the Maven repository of the user (``M2_REPO``, else ``~/.m2/repository``), as Maven itself would keep
them; another download source is named by ``KAFKA_JARS_URL``.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import ssl
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream.errors import BrokerError, SettingError
from stream.resources import resource_path

KAFKA_VERSION = "4.3.1"
_ROOT = ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION)
_LOGGING = ("org.apache.logging.log4j", "log4j-slf4j-impl")
_DOWNLOADS = 6
_SYSTEM_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
_TIMEOUT_S = 10


@dataclass(frozen=True, order=True)
class Jar:
    """One locked jar: its Maven coordinate and the SHA-256 of its bytes."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        """The file's name, such as ``kafka-clients-4.3.1.jar``."""
        return f"{self.artifact}-{self.version}.jar"

    def path(self, repository: Path) -> Path:
        """Where a Maven repository keeps this jar."""
        return repository.joinpath(*self.group.split("."), self.artifact, self.version, self.name)


def default_repository() -> Path:
    """Return the local Maven repository: ``M2_REPO``, else ``~/.m2/repository``."""
    return Path(os.environ.get("M2_REPO") or Path.home() / ".m2" / "repository")


def lock_path() -> Path:
    """Return the lock file that travels with the package."""
    return resource_path("deploy", "kafka", "jars.lock")


def read_lock(path: Path) -> list[Jar]:
    """Read a lock file.

    Raises
    ------
    SettingError
        A line is not ``group:artifact:version sha256``.
    """
    jars = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        text = line.partition("#")[0].split()
        if not text:
            continue
        coordinate = text[0].split(":")
        if len(text) != 2 or len(coordinate) != 3 or len(text[1]) != 64:
            raise SettingError(f"{path}, line {number}: expected 'group:artifact:version sha256', found {line!r}")
        jars.append(Jar(coordinate[0], coordinate[1], coordinate[2], text[1]))
    return jars


def ensure_jars(lock: Path | None = None, say: Callable[[str], None] = lambda _: None) -> list[Path]:
    """Return the paths of all locked jars, fetching those that are missing and verifying every one.

    Parameters
    ----------
    lock
        Lock file; the shipped one when left out.
    say
        Called with one line before a download starts.

    Raises
    ------
    SettingError
        A jar's bytes differ from the lock; the text names the jar and its path.
    BrokerError
        A jar is missing and cannot be fetched.
    """
    jars = read_lock(lock or lock_path())
    repository = default_repository()
    missing = [jar for jar in jars if not jar.path(repository).is_file()]
    if missing:
        say(f"fetching {len(missing)} of {len(jars)} Kafka {KAFKA_VERSION} jars into {repository}")
        _fetch_all(missing, repository)
    _verify_all(jars, repository)
    return [jar.path(repository) for jar in jars]


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify_all(jars: Sequence[Jar], repository: Path) -> None:
    """Hash each jar, except those whose size and time of change are as they were when last found good."""
    known = _read_stamps()
    stamps: dict[str, list[Any]] = {}
    for jar in jars:
        path = jar.path(repository)
        stat = path.stat()
        stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, jar.sha256]
        if known.get(str(path)) != stamp and sha256_of(path) != jar.sha256:
            raise SettingError(
                f"the Kafka jar {jar.name} is damaged or was changed (its SHA-256 is not that of jars.lock); "
                f"delete {path} and start again to fetch it anew"
            )
        stamps[str(path)] = stamp
    if any(known.get(path) != stamp for path, stamp in stamps.items()):
        _write_stamps({**known, **stamps})


def _stamp_file() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fraudstream" / "jars-verified.json"


def _read_stamps() -> dict[str, list[Any]]:
    try:
        stamps = json.loads(_stamp_file().read_text("utf-8"))
    except (OSError, ValueError):  # no cache yet, or a torn one: every jar is hashed again
        return {}
    return stamps if isinstance(stamps, dict) else {}


def _write_stamps(stamps: dict[str, list[Any]]) -> None:
    target = _stamp_file()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=target.parent, delete=False) as file:
            json.dump(stamps, file)
        Path(file.name).replace(target)
    except OSError:  # a read-only home costs a second of hashing at the next start, nothing else
        return


def _context(repository: Path) -> Any:
    try:
        from jgo.constants import MAVEN_CENTRAL_URL
        from jgo.maven import MavenContext
    except ImportError as error:
        raise SettingError(
            "the embedded Kafka needs jgo; install it with: pip install 'fraudstream[broker]'"
        ) from error
    url = os.environ.get("KAFKA_JARS_URL") or MAVEN_CENTRAL_URL
    return MavenContext(repo_cache=repository, remote_repos={"central": url.rstrip("/")}, timeout=_TIMEOUT_S)


def _trust_the_system() -> None:
    """Let downloads trust the system's certificates, a company's own among them; jars.lock has the last word."""
    if os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE"):
        return
    for file in (ssl.get_default_verify_paths().cafile, *_SYSTEM_CERTIFICATES):
        if file and Path(file).is_file():
            os.environ["REQUESTS_CA_BUNDLE"] = file
            return


def _fetch_all(jars: Sequence[Jar], repository: Path) -> None:
    _context(repository)  # a missing jgo is said before any folder is made
    _trust_the_system()
    try:
        repository.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=repository, prefix=".fraudstream-") as scratch:
            _fetch(jars[0], Path(scratch), repository)  # an unreachable source is found by one request, not by many
            with ThreadPoolExecutor(_DOWNLOADS) as pool:
                list(pool.map(lambda jar: _fetch(jar, Path(scratch), repository), jars[1:]))
    except (OSError, RuntimeError) as error:  # OSError covers requests' and the disk's errors, RuntimeError jgo's
        raise BrokerError(
            f"Kafka {KAFKA_VERSION} is not in {repository} and cannot be fetched ({type(error).__name__}); "
            "connect this machine to the network once, set KAFKA_JARS_URL to a reachable Maven repository, "
            "or set KAFKA_BOOTSTRAP to a Kafka that runs already"
        ) from error


def _fetch(jar: Jar, scratch: Path, repository: Path) -> None:
    """Download one jar beside the repository and move it in whole: a killed download leaves no half a jar."""
    artifact = _context(scratch).project(jar.group, jar.artifact).at_version(jar.version).artifact()
    for attempt in (1, 2):
        try:
            source = Path(artifact.resolve())
            break
        except (OSError, RuntimeError):
            shutil.rmtree(jar.path(scratch).parent, ignore_errors=True)
            if attempt == 2:
                raise
    if sha256_of(source) != jar.sha256:
        raise SettingError(f"the Kafka jar {jar.name} came with other bytes than jars.lock says; nothing was installed")
    target = jar.path(repository)
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)


def write_lock(target: Path) -> int:
    """Resolve Kafka's whole dependency graph, hash each jar and write the lock; return the number of jars.

    The logging binding is added by coordinate alone, at the version of Kafka's own log4j: resolving it together with
    Kafka would let its parent's dependency management replace Kafka's libraries.
    """
    repository = default_repository()
    context = _context(repository)
    inputs, transitive = context.resolver.resolve([context.create_dependency(":".join(_ROOT))])
    needed = [*inputs, *(d for d in transitive if d.scope in ("compile", "runtime"))]
    artifacts = [dependency.artifact for dependency in needed]
    log4j = next(a.version for a in artifacts if a.artifactId == "log4j-core")
    artifacts.append(context.project(*_LOGGING).at_version(log4j).artifact())
    jars = sorted(Jar(a.groupId, a.artifactId, a.version, sha256_of(Path(a.resolve()))) for a in artifacts)
    head = f"# Apache Kafka {KAFKA_VERSION}: Maven coordinate and SHA-256 of each jar, by: fraudstream broker lock\n"
    lines = "".join(f"{jar.group}:{jar.artifact}:{jar.version} {jar.sha256}\n" for jar in jars)
    target.write_text(head + lines, "utf-8")
    return len(jars)
