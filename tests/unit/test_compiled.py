from pathlib import Path

from whipway.compiled import SUFFIX, compiled_modules, is_compiled


def test_names_of_modules(tmp_path: Path) -> None:
    package = tmp_path / "whipway"
    for name in (f"media/nal{SUFFIX}", "media/nal.py", f"failures{SUFFIX}", "hosts.py"):
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert compiled_modules(package) == ["whipway.failures", "whipway.media.nal"]


def test_what_runs_here() -> None:
    assert is_compiled() == bool(compiled_modules())
