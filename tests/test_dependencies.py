"""The dependency direction of the design, held by reading the imports of every module."""

import ast
from pathlib import Path

import pytest

import sf_detect

PACKAGE = Path(sf_detect.__file__).parent
LEAVES = {"structures", "boxes", "labels", "errors", "version", "assets", "box_regression", "model_spec"}
LEAVES |= {"redaction", "file_names", "output_lock", "atomic_file", "interruptible", "interpolation"}
LEAVES |= {"association", "picture_buffers", "records", "matching", "thresholds", "landmarks", "persons"}
LEAVES |= {"pickles", "zip_files", "joined_files"}
ROOMS = {"video", "detection", "models", "rendering", "sinks", "data", "evaluation", "training", "tracking"}
ROOMS |= {"engines", "events", "keypoints", "weights", "zoo", "archive", "convert"}
# Sibling rooms that may be imported, and why.
ALLOWED = {
    "data": {"video", "models", "weights"},  # datasets decode video; annotations in pickles are as untrusted as weights
    "archive": {"events", "video", "rendering"},  # segments are events; clips are cut out of videos
    "convert": {"archive", "events"},  # it reads and writes archives
    "sinks": {"rendering", "video", "events"},  # the video sink draws and encodes, the events sink applies the rules
    "engines": {"weights"},  # converted networks lie in the cache of weights
    "detection": {"weights", "engines"},  # detectors fetch their own weights; engines compute them
    # they fetch and read their own networks; engines compute them; one has the layers of a detector
    "keypoints": {"weights", "engines", "detection"},
    "models": {"engines"},
    "zoo": {"models", "weights", "engines"},  # entries bind networks to files
    "training": {
        "data",
        "models",
        "evaluation",
        "weights",
        "zoo",
        "detection",
        "tracking",
        "video",
        "keypoints",
        "engines",
    },
}
COMPOSITION = {
    "build",
    "build_classifier",
    "build_keypoints",
    "build_outputs",
    "build_live",
    "build_batch",
    "build_worker",
}
COMPOSITION |= {"cli", "commands", "annotator", "outputs"}
HEAVY = {
    "torch": {"detection", "keypoints", "models", "engines", "data", "training", "weights", "zoo", *COMPOSITION},
    "torchvision": {"detection", "models", "zoo", "data", "training"},
    "cv2": {"video", "rendering", "detection", "keypoints", "models", "data", "training"},
    "av": {"video", "rendering", "data"},
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            if node.module == "sf_detect":
                names.update(f"sf_detect.{alias.name}" for alias in node.names)
    return names


def own_rooms(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports(path) if name.startswith("sf_detect.")}


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_dependency_direction(path):
    room, used = room_of(path), own_rooms(path)
    if room in LEAVES:
        assert used <= LEAVES, f"a leaf imports only leaves, this one imports {used - LEAVES}"
    if room in ROOMS:
        forbidden = (used & ROOMS) - {room} - ALLOWED.get(room, set())
        assert not forbidden, f"{room} must not import its siblings {forbidden}"
    if room in {"stages", "person_stage", "timeline", "pipeline", "live", "sharing", "processing", "batch"}:
        assert not used & (ROOMS | {"weights"}), f"{room} sees protocols, never implementations: {used}"
    if room != "training":
        assert "training" not in used or room in COMPOSITION, "nothing imports training but the commands"
    if room not in COMPOSITION and room != "__init__":
        assert "config" not in used, "only the composition modules read settings"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_packages_stay_in_their_rooms(path):
    used = {name.split(".")[0] for name in imports(path)}
    for package, rooms in HEAVY.items():
        if package in used:
            assert room_of(path) in rooms, f"{package} is imported in {room_of(path)}"


def test_importing_the_package_is_light():
    import subprocess
    import sys

    code = "import sys, sf_detect, sf_detect.cli; print(sorted({'torch', 'cv2', 'av'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
