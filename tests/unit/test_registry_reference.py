"""References of images: what they are made of, and what is none."""

from __future__ import annotations

import pytest

from gennaker.errors import PermanentError
from gennaker_stages.registry.reference import ImageReference, parse_reference, parse_tag

DIGEST = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("busybox", ImageReference("docker.io", "library/busybox")),
        ("acme/web:1.0", ImageReference("docker.io", "acme/web", "1.0")),
        ("registry.test/web", ImageReference("registry.test", "web")),
        ("localhost/web:1", ImageReference("localhost", "web", "1")),
        ("127.0.0.1:5000/a/b_c:v-1", ImageReference("127.0.0.1:5000", "a/b_c", "v-1")),
        ("[::1]:5000/web", ImageReference("[::1]:5000", "web")),
        (f"r.test/web@{DIGEST}", ImageReference("r.test", "web", None, DIGEST)),
        (f"r.test/web:1@{DIGEST}", ImageReference("r.test", "web", "1", DIGEST)),
    ],
)
def test_a_reference_has_parts(text: str, expected: ImageReference) -> None:
    """Host, repository, tag and digest are told apart as Docker does."""
    assert parse_reference(text) == expected
    assert parse_reference(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "'library/' is not a repository; it has lower-case letters only"),
        ("Web", "'library/Web' is not a repository; it has lower-case letters only"),
        ("r.test/", "'' is not a repository; it has lower-case letters only"),
        ("r.test/web:", "'' is not a tag"),
        ("r.test/web:a b", "'a b' is not a tag"),
        ("-r.test/web", "'-r.test' is not a host"),
        ("https://r.test/web", "'https:' is not a host"),
        ("r.test/web@sha256:12", "the digest is not 'sha256:' and 64 hexadecimal digits"),
        ("r.test/../web", "'../web' is not a repository; it has lower-case letters only"),
        ("r.test/web?x=1", "'web?x=1' is not a repository; it has lower-case letters only"),
    ],
)
def test_what_is_no_reference_is_told(text: str, why: str) -> None:
    """Nothing that could change a URL or a path gets through."""
    with pytest.raises(PermanentError) as caught:
        parse_reference(text)
    assert str(caught.value) == (
        f"image-reference: {text!r} is no image reference: {why}; "
        "write it like 'registry.test/shop:1.4.0'"
    )


def test_a_tag_is_latest_unless_given_and_never_a_digest() -> None:
    """What an image is called follows Docker; a digest follows from the image."""
    assert parse_tag("r.test/web").tag == "latest"
    with pytest.raises(PermanentError, match="is no tag: a tag names no digest"):
        parse_tag(f"r.test/web@{DIGEST}")
