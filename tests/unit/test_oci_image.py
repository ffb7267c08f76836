"""Images without a daemon: the same bytes every time, on a base or from nothing."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from gennaker.errors import InvalidInput, PermanentError
from gennaker.stage import Succeeded
from gennaker_stages.oci.base_files import BaseFiles
from gennaker_stages.oci.image_stage import OciBuild
from gennaker_stages.oci.layer import LAYER_MEDIA_TYPE, make_layer
from gennaker_stages.oci.layout import Image, assemble_image, read_layout, write_layout
from tests.fixtures.stage_context import StageContext

FILES = {
    "www/index.html": "hello\n",
    "www/cgi-bin/time.sh": "#!/bin/sh\necho\n",
    "www/é.txt": "ü\n",
}
INPUTS: dict[str, Any] = {
    "files": {"/www": "www"},
    "tags": ["registry.test/shop:1"],
    "entrypoint": ["/bin/httpd", "-f"],
    "command": ["-p", "80"],
    "env": {"B": "2", "A": "1"},
    "workdir": "/www",
    "user": "1000:1000",
    "ports": [80],
    "labels": {"team": "shop"},
}
# Of FILES and INPUTS; when it changes, every user's image changes its digest.
GOLDEN = "sha256:6f7eb7a04cb2f69900a3ba798ce4b4fd9912a407938c06575f5a96b4994b7f64"


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    """A source with FILES."""
    context = StageContext(tmp_path)
    context.write(FILES)
    return context


def build(context: StageContext, **inputs: Any) -> tuple[Image, dict[str, Any]]:
    """Run the stage; the image in its layout, and its outputs."""
    outcome = OciBuild().run(OciBuild.Inputs.model_validate({**INPUTS, **inputs}), context)
    assert isinstance(outcome, Succeeded)
    outputs = dict(outcome.outputs)
    return read_layout(context.read(outputs["layout"])), outputs


def list_layer(content: bytes) -> dict[str, tuple[Any, ...]]:
    """Type, mode, owner and content or target of each entry of a layer."""
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
        return {
            each.name: (
                each.type.decode(),
                oct(each.mode),
                (each.uid, each.gid, each.mtime),
                each.linkname or (stream.read() if (stream := tar.extractfile(each)) else b""),
            )
            for each in tar
        }


def make_base(entries: dict[str, tuple[bytes, int, str]]) -> Image:
    """An image of one gzip layer; entries are name: (type, mode, link)."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, (kind, mode, link) in entries.items():
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.linkname, info.uid = kind, mode, link, 7
            tar.addfile(info)
    plain = assemble_image(
        stream.getvalue(),
        f"{LAYER_MEDIA_TYPE}+gzip",
        {"Env": ["PATH=/bin", "A=0"], "Cmd": ["/bin/sh"], "Labels": {"base": "yes"}},
        base=None,
        platform="linux/arm64",
    )
    return plain


def test_the_digest_is_golden(context: StageContext) -> None:
    """A fixed tree and fixed settings give one digest, on every machine and every Python."""
    image, outputs = build(context)
    assert outputs["digest"] == image.digest == GOLDEN
    assert outputs["reference"] == f"registry.test/shop@{GOLDEN}"


def test_times_and_owners_do_not_count(context: StageContext, tmp_path: Path) -> None:
    """The same files written at another time, in another order, with another mask."""
    first, _ = build(context)
    other = StageContext(tmp_path / "other")
    before = os.umask(0o077)
    other.write(dict(reversed(FILES.items())))
    os.umask(before)
    os.utime(other.source / "www" / "index.html", (1, 1))
    (other.source / "www" / "index.html").chmod(0o600)
    second, _ = build(other)
    assert second == first
    assert write_layout(second) == write_layout(first)


def test_a_plan_knows_the_digest(context: StageContext) -> None:
    """Without a base the plan gives the outputs the run will give, and keeps nothing."""
    inputs = OciBuild.Inputs.model_validate({**INPUTS, "push": True})
    plan = OciBuild().plan(inputs, context)
    assert not (context.root / "artifacts").exists()
    assert dict(plan.outputs) == json.loads(json.dumps(build(context)[1], default=dict))
    assert [(each.action, each.what, each.detail) for each in plan.changes] == [
        ("build", "build registry.test/shop:1", "on scratch, with /www"),
        ("run", "push registry.test/shop:1", ""),
    ]


def test_the_layer_has_the_files_and_their_folders(context: StageContext) -> None:
    """Owned by root, without times; of modes only whether it is a program."""
    (context.source / "www" / "link").symlink_to("index.html")
    image, _ = build(context, files={"/srv/www": "www", "/one": "www/index.html"})
    root = (0, 0, 0)
    assert list_layer(image.blobs[image.data["layers"][0]["digest"]]) == {
        "one": ("0", "0o644", root, b"hello\n"),
        "srv": ("5", "0o755", root, b""),
        "srv/www": ("5", "0o755", root, b""),
        "srv/www/cgi-bin": ("5", "0o755", root, b""),
        "srv/www/cgi-bin/time.sh": ("0", "0o755", root, b"#!/bin/sh\necho\n"),
        "srv/www/index.html": ("0", "0o644", root, b"hello\n"),
        "srv/www/link": ("2", "0o777", root, "index.html"),
        "srv/www/é.txt": ("0", "0o644", root, "ü\n".encode()),
    }


def test_the_configuration_says_what_was_asked(context: StageContext) -> None:
    """The settings are where engines look for them; no time is in them."""
    assert build(context)[0].config == {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Cmd": ["-p", "80"],
            "Entrypoint": ["/bin/httpd", "-f"],
            "Env": ["A=1", "B=2"],
            "ExposedPorts": {"80/tcp": {}},
            "Labels": {"team": "shop"},
            "User": "1000:1000",
            "WorkingDir": "/www",
        },
        "rootfs": {
            "type": "layers",
            "diff_ids": [build(context)[0].data["layers"][0]["digest"]],
        },
    }


def test_settings_are_added_to_the_bases(context: StageContext) -> None:
    """Environment and labels are merged; an entry point takes the base's command away."""
    base = make_base({"bin": (tarfile.DIRTYPE, 0o755, "")})
    settings = {"Env": ["A=1", "B=2"], "Labels": {"mine": "too"}}
    plain = assemble_image(b"", LAYER_MEDIA_TYPE, settings, base=base, platform="linux/amd64")
    assert plain.config["architecture"] == "arm64"
    assert plain.config["config"] == {
        "Cmd": ["/bin/sh"],
        "Env": ["PATH=/bin", "A=1", "B=2"],
        "Labels": {"base": "yes", "mine": "too"},
    }
    settings_with = {"Entrypoint": ["/run"]}
    other = assemble_image(b"", LAYER_MEDIA_TYPE, settings_with, base=base, platform="linux/amd64")
    assert "Cmd" not in other.config["config"]


def test_a_bases_links_and_modes_are_kept(context: StageContext) -> None:
    """A file below a link goes where the link leads; folders keep mode and owner."""
    base = BaseFiles.read(
        make_base(
            {
                "./usr": (tarfile.DIRTYPE, 0o755, ""),
                "./usr/bin": (tarfile.DIRTYPE, 0o711, ""),
                "./bin": (tarfile.SYMTYPE, 0o777, "usr/bin"),
                "./sbin": (tarfile.SYMTYPE, 0o777, "/bin"),
                "./tmp": (tarfile.DIRTYPE, 0o1777, ""),
            }
        )
    )
    layer = make_layer(
        {"/sbin/hello.sh": "www/cgi-bin/time.sh", "/tmp": "www/cgi-bin"}, context.source, base
    )
    found = {name: (mode, owner[0]) for name, (_, mode, owner, _) in list_layer(layer).items()}
    assert found == {
        "tmp": ("0o1777", 7),
        "tmp/time.sh": ("0o755", 0),
        "usr": ("0o755", 7),
        "usr/bin": ("0o711", 7),
        "usr/bin/hello.sh": ("0o755", 0),
    }


def test_what_a_layer_removed_is_gone(context: StageContext) -> None:
    """Whiteouts of a base's later layers count."""
    base = make_base(
        {
            "a": (tarfile.DIRTYPE, 0o700, ""),
            "a/b": (tarfile.DIRTYPE, 0o700, ""),
            "c": (tarfile.DIRTYPE, 0o700, ""),
            "c/d": (tarfile.DIRTYPE, 0o700, ""),
            ".wh.a": (tarfile.REGTYPE, 0o600, ""),
            "c/.wh..wh..opq": (tarfile.REGTYPE, 0o600, ""),
        }
    )
    files = BaseFiles.read(base)
    assert [name for name in ("a", "a/b", "c", "c/d") if files.find_folder(name)] == ["c"]


def test_links_that_go_round_are_refused() -> None:
    """A base cannot make the build run for ever."""
    base = make_base({"a": (tarfile.SYMTYPE, 0o777, "b"), "b": (tarfile.SYMTYPE, 0o777, "a")})
    with pytest.raises(PermanentError, match="links of the base go round at 'a/x'"):
        BaseFiles.read(base).resolve("a/x")


def test_a_layer_that_is_no_tar_is_told() -> None:
    """A base with layers of another form is refused by name."""
    base = assemble_image(b"?", "x/zstd", {}, base=None, platform="linux/amd64")
    with pytest.raises(PermanentError, match=r"of the base \(x/zstd\) cannot be read") as caught:
        BaseFiles.read(base)
    assert caught.value.code == "oci-base"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"files": {"/x": "nope"}}, "there is no file or folder 'nope' in the source"),
        ({"files": {"x": "www"}}, "'x' is not an absolute path in the image"),
        ({"files": {"/": "www"}}, "'/' is not an absolute path in the image"),
        ({"files": {"/a/../b": "www"}}, "'/a/../b' is not an absolute path in the image"),
        (
            {"files": {"/a": "www/index.html", "/a/b": "www"}},
            "'/a' is a file, so '/a/b' cannot be below it",
        ),
        ({"tags": ["Shop"]}, "'Shop' is no image reference"),
        ({"tags": [f"r.test/a@sha256:{'0' * 64}"]}, "a tag names no digest"),
    ],
)
def test_wrong_inputs_are_told(context: StageContext, inputs: dict[str, Any], message: str) -> None:
    """Each says which file, path or tag it is, before anything is built or pushed."""
    with pytest.raises(PermanentError) as caught:
        build(context, **inputs)
    assert message in caught.value.message


def test_nothing_outside_the_source_gets_in(context: StageContext) -> None:
    """Neither by a path nor by a link."""
    with pytest.raises(InvalidInput, match="path-outside"):
        build(context, files={"/x": "../secret"})
    (context.source / "www" / "out").symlink_to("/etc/passwd")
    with pytest.raises(PermanentError) as caught:
        build(context)
    assert str(caught.value) == (
        "oci-file: 'www/out' is a link that leaves the source; copy the file into the source"
    )
    (context.source / "www" / "out").unlink()
    os.mkfifo(context.source / "www" / "pipe")
    with pytest.raises(PermanentError, match="'www/pipe' is neither a file nor a folder"):
        build(context)


def test_a_layout_that_was_changed_is_refused(context: StageContext) -> None:
    """Every blob is held against its digest."""
    image, outputs = build(context)
    content = context.read(outputs["layout"])
    with pytest.raises(PermanentError, match="of the layout was changed"):
        read_layout(content.replace(b"hello\n", b"HELLO\n"))
    with pytest.raises(PermanentError, match="not an OCI layout"):
        read_layout(b"rubbish")
    assert read_layout(content) == image
