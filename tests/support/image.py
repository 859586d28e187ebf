"""An image without a container engine: a Dockerfile's own lines, run on layers of overlayfs over this machine's root.

What an engine would take from a registry is this machine's own system (Debian with Python 3.11, and its Java), without
what a user keeps on it. Needs root, for mounts in a namespace of their own.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from services.server import Unavailable, run

ROOT: Final = Path(__file__).parents[2]
HIDDEN: Final = ("opt", "root", "home", "work", "tmp", "data")
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NETWORK: Final = ("PIP_CERT", "SSL_CERT_FILE", "PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "HTTPS_PROXY")
"""Variables by which this machine reaches its registries."""


@dataclass(frozen=True)
class Instruction:
    """A line of a Dockerfile, joined where it goes on; `word` in capitals."""

    word: str
    rest: str


def parse(text: str) -> list[Instruction]:
    """The instructions of a Dockerfile."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    parted = [line.strip().split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    return [Instruction(word.upper(), rest) for word, rest in parted]


@dataclass(frozen=True)
class Image:
    """Layers, the newest first, and how a container begins."""

    layers: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)
    user: str = "0:0"
    folder: str = "/"
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


def available() -> None:
    """Unavailable where this machine does not let us mount."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        raise Unavailable("images: root and unshare are needed, to mount layers")
    probe = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
    )
    if probe.returncode or "overlay" not in Path("/proc/filesystems").read_text():
        raise Unavailable("images: this machine mounts no overlays")


@dataclass
class Builder:
    """Builds targets of one Dockerfile.

    Attributes:
        context: folder that COPY takes from.
        folder: where layers go.
        arguments: over the defaults of ARG.
        java: folder of this machine's Java, which stands for that of the image of Java.
    """

    context: Path
    folder: Path
    arguments: Mapping[str, str] = field(default_factory=dict)
    java: Path | None = None
    stages: dict[str, Image] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)

    def build(self, dockerfile: str, target: str) -> Image:
        """The image of a stage, and those that it is made of; AssertionError, with what was said, when a line fails."""
        outer, wanted = dict[str, str](), _needed(dockerfile, target)
        stage, skips = "", False
        for line in parse(dockerfile):
            if line.word == "FROM":
                base, _, stage = line.rest.partition(" AS ")
                skips = stage in self.stages or stage not in wanted
                if not skips:
                    start = self.stages.get(base) or self._machine(self._filled(base, outer))
                    self.stages[stage] = replace(start, arguments={})
                    (self.folder / stage).mkdir(exist_ok=True)
            elif not stage:
                name, _, default = line.rest.partition("=")
                outer[name] = self.arguments.get(name, default)
            elif not skips:
                self.stages[stage] = self._step(self.stages[stage], stage, line)
        return self.stages[target]

    def _machine(self, name: str) -> Image:
        """What stands for an image of a registry."""
        layer = self.folder / f"machine-{re.sub(r'[^a-z0-9]', '-', name)}"
        layer.mkdir(exist_ok=True)
        place = layer / "opt" / "java" / "openjdk"
        if "temurin" in name and self.java and not place.is_symlink():
            place.parent.mkdir(parents=True)
            place.symlink_to(self.java)
        return Image(layers=(layer,), environment={"PATH": _PATH})

    def _step(self, image: Image, stage: str, line: Instruction) -> Image:
        if line.word == "ARG":
            name, _, default = line.rest.partition("=")
            return replace(image, arguments={**image.arguments, name: self.arguments.get(name, default)})
        if line.word in {"ENTRYPOINT", "CMD"}:
            told = tuple(json.loads(line.rest))
            return replace(image, entrypoint=told) if line.word == "ENTRYPOINT" else replace(image, command=told)
        rest = self._filled(line.rest, {**image.environment, **image.arguments}) if line.word != "RUN" else line.rest
        if line.word == "ENV":
            return replace(
                image, environment={**image.environment, **dict(part.split("=", 1) for part in shlex.split(rest))}
            )
        if line.word == "USER":
            return replace(image, user=rest)
        layer = (
            self.folder
            / stage
            / f"{sum(not path.name.startswith('.') for path in (self.folder / stage).iterdir()):02d}"
        )
        layer.mkdir()
        self.ran.append(f"{stage}: {line.word} {line.rest[:60]}")
        above = replace(image, layers=(layer, *image.layers))
        if line.word == "WORKDIR":
            self._do(above, f"mkdir -p {shlex.quote(rest)}")
            return replace(above, folder=rest)
        if line.word == "COPY":
            self._copy(above, shlex.split(rest))
        elif line.word == "RUN":
            self._do(above, line.rest)
        else:
            raise AssertionError(f"what is {line.word}?")
        return above

    def _copy(self, image: Image, words: list[str]) -> None:
        origin = next((word.removeprefix("--from=") for word in words if word.startswith("--from=")), None)
        *sources, target = [word for word in words if not word.startswith("--")]
        if origin is None:
            found = [path for source in sources for path in sorted(self.context.glob(source))]
            assert found, f"COPY {sources}: the context has none"
            commands = [
                f'cp -a {shlex.quote(str(path))}{"/." * path.is_dir()} "$root"{_target(target, image)}'
                for path in found
            ]
            made = (
                _target(target, image)
                if target.endswith("/") or any(path.is_dir() for path in found)
                else str(Path(target).parent)
            )
            script = f'mkdir -p "$root"{made}; ' + "; ".join(commands)
            self._outside(image, script)
        else:
            other, folder = self.stages[origin], image.layers[0]
            tar = f'tar -C "$root" -cf - {" ".join(source.lstrip("/") for source in sources)} | tar -C {folder} -xf -'
            assert sources == [target], "COPY --from keeps its place here"
            self._outside(other, tar)

    def _outside(self, image: Image, script: str) -> None:
        """Run a script of this machine with the image at $root."""
        _done([*_namespace(), "sh", "-euc", f"{_mounted(image, self.folder)}\n{script}"])

    def _do(self, image: Image, script: str) -> None:
        """Run a script in the image."""
        told = {
            **{name: os.environ[name] for name in _NETWORK if name in os.environ},
            **image.environment,
            **image.arguments,
        }
        variables = [f"{name}={value}" for name, value in told.items()]
        inner = ["env", "-i", *variables, "sh", "-euc", f"cd {image.folder}; {script}"]
        outer = f'{_mounted(image, self.folder)}\n{_DEVICES}\nexec chroot "$root" {shlex.join(inner)}'
        _done([*_namespace(), "sh", "-euc", outer])

    @staticmethod
    def _filled(text: str, values: Mapping[str, str]) -> str:
        return re.sub(r"\$\{?(\w+)\}?", lambda found: values.get(found[1], ""), text)


def _needed(dockerfile: str, target: str) -> set[str]:
    """Stages that a target is made of, itself among them."""
    needs: dict[str, set[str]] = {}
    stage = ""
    for line in parse(dockerfile):
        if line.word == "FROM":
            base, _, stage = line.rest.partition(" AS ")
            needs[stage] = {base}
        elif line.word == "COPY" and line.rest.startswith("--from="):
            needs[stage].add(line.rest.split()[0].removeprefix("--from="))
    found, left = set[str](), [target]
    while left:
        name = left.pop()
        if name in needs and name not in found:
            found.add(name)
            left += needs[name]
    return found


def _target(target: str, image: Image) -> str:
    return target if target.startswith("/") else f"{image.folder.rstrip('/')}/{target.removeprefix('./')}"


_DEVICES: Final = 'mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"; mount -t tmpfs tmpfs "$root/run"'


def _namespace() -> list[str]:
    return ["unshare", "--mount", "--propagation=private", "--uts", "--pid", "--fork", "--kill-child"]


def _mounted(image: Image, scratch: Path) -> str:
    """Shell lines that mount the image, its first layer writable, at a folder that they name $root.

    This machine's root is an overlay of its own, below: layers of one overlay must not lie in one another.
    """
    top, *below = image.layers
    hidden = scratch / "hidden"
    for name in HIDDEN:
        if not (hidden / name).exists():
            (hidden / name).mkdir(parents=True)
            os.setxattr(hidden / name, "trusted.overlay.opaque", b"y")
            (hidden / name).chmod(0o1777 if name == "tmp" else 0o755)
    # The paths of layers are long, and there are many: the options of a mount are a page of memory at the most.
    (scratch / "l").mkdir(exist_ok=True)
    names = []
    for number, layer in enumerate(reversed(below)):
        link = scratch / "l" / f"{number}-{layer.parent.name}-{layer.name}"
        if not link.is_symlink():
            link.symlink_to(layer)
        names.insert(0, f"l/{link.name}")
    work = top.parent / f".work-{top.name}"
    return (
        f"cd {scratch}; mkdir -p {work} below .work-below merged; root={scratch}/merged\n"
        "mount -t overlay overlay -o lowerdir=/,upperdir=hidden,workdir=.work-below below\n"
        f'mount -t overlay overlay -o lowerdir={":".join([*names, "below"])},upperdir={top},workdir={work} "$root"'
    )


def _done(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout[-2000:]}{done.stderr[-3000:]}"


def built(folder: Path) -> Builder:
    """Both images of the project, from a wheel of it; Unavailable where this machine cannot."""
    available()
    java = shutil.which("java")
    if java is None:
        raise Unavailable("images: there is no Java on this machine")
    context = folder / "context"
    context.mkdir()
    for name in ("docker", "runner_configs"):
        shutil.copytree(ROOT / name, context / name)
    shutil.copy(ROOT / "requirements.lock", context)
    uv = run([ROOT / "scripts" / "find-uv"], "uv").strip()
    run([uv, "build", "-q", "--wheel", "--python", sys.executable, "--out-dir", context / "dist", ROOT], "the wheel")
    builder = Builder(context, folder, java=Path(java).resolve().parents[1])
    dockerfile = (ROOT / "Dockerfile").read_text()
    for target in ("slim", "spark"):
        builder.build(dockerfile, target)
    return builder


@dataclass(frozen=True)
class Volume:
    """A folder of this machine at a path of a container."""

    folder: Path
    path: str
    read_only: bool = False


def in_container(image: Image, own: Path, *arguments: str, **more: Any) -> "subprocess.CompletedProcess[str]":
    """Run a container to its end; `more` as of `container`."""
    line = container(image, own, arguments, **more)
    return subprocess.run(line, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def container(
    image: Image,
    own: Path,
    arguments: Sequence[str],
    *,
    command: Sequence[str] | None = None,
    environment: Mapping[str, str] | None = None,
    volumes: Sequence[Volume] = (),
    user: str | None = None,
    read_only: bool = True,
    host: str = "localhost",
) -> list[str]:
    """The command that runs a container: its first child is process 1 of a namespace of its own.

    Args:
        image: what it is made of.
        own: an empty folder for what it writes outside of volumes.
        arguments: in the place of CMD.
        command: in the place of ENTRYPOINT.
        environment: over the image's.
        volumes: in the order in which they are mounted.
        user: uid:gid in the place of the image's.
        read_only: whether it may write outside of volumes only.
        host: its own name.
    """
    (own / "layer").mkdir(parents=True, exist_ok=True)
    mounted = _mounted(replace(image, layers=(own / "layer", *image.layers)), own)
    lines = [mounted, _DEVICES, f"hostname {host}"]
    for volume in volumes:
        # /var/run is a link to /run, which would lead out of the image here.
        path = volume.path.replace("/var/run/", "/run/", 1)
        at = f'"$root"{shlex.quote(path)}'
        made = f"mkdir -p {at}" if volume.folder.is_dir() else f"mkdir -p $(dirname {at}); touch {at}"
        lines.append(f"{made}; mount --bind {shlex.quote(str(volume.folder))} {at}")
        if volume.read_only:
            lines.append(f"mount -o remount,bind,ro {at}")
    if read_only:
        lines.append('mount -o remount,ro "$root"')
    variables = [f"{name}={value}" for name, value in {**image.environment, **(environment or {})}.items()]
    whole = [*(image.entrypoint if command is None else command), *(arguments or image.command)]
    uid = user or image.user
    inner = ["env", "-i", *variables, "sh", "-c", f'cd {image.folder} && exec "$@"', "sh", *whole]
    lines.append(f'exec chroot --userspec={uid} --groups={uid.partition(":")[2] or uid} "$root" {shlex.join(inner)}')
    return [*_namespace(), "sh", "-euc", "\n".join(lines)]
