"""The worker's image: linted, from files that exist, non-root."""

from __future__ import annotations

import re
from fnmatch import fnmatch

from deploy_files import ROOT, run, tool

DOCKERFILE = ROOT / "deploy" / "Dockerfile.worker"
LINES = [line for line in DOCKERFILE.read_text().replace("\\\n", " ").splitlines() if line and line[0] != "#"]


def instructions(word: str) -> list[str]:
    return [line.partition(" ")[2].strip() for line in LINES if line.startswith(word + " ")]


def test_hadolint_finds_nothing() -> None:
    said = run(tool("hadolint"), str(DOCKERFILE))
    assert said.returncode == 0, said.stdout


def test_everything_that_is_copied_is_in_the_repository_and_in_the_context() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    sources = [source for copy in instructions("COPY") if "--from" not in copy for source in copy.split()[:-1]]
    assert len(sources) >= 8
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source.split("/")[0], name) for name in allowed), source


def test_dependencies_are_installed_by_hash_alone() -> None:
    for install in re.findall(r"pip install ([^&]*)", DOCKERFILE.read_text()):
        assert "--require-hashes" in install or "--no-deps --no-index" in install


def test_the_last_stage_runs_as_a_numbered_user() -> None:
    user = instructions("USER")[-1].split(":")[0]
    assert user.isdigit()
    assert int(user) > 0
    assert LINES.index(f"USER {instructions('USER')[-1]}") > max(
        index for index, line in enumerate(LINES) if line.startswith("RUN ")
    )


def test_both_stages_have_the_same_base() -> None:
    bases = {base.split()[0] for base in instructions("FROM")}
    assert len(bases) == 1
    assert ":" in bases.pop()
