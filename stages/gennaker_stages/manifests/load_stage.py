"""``manifests.load``: plain YAML files to a bundle of objects."""

from __future__ import annotations

from pydantic import Field

from gennaker.errors import PermanentError
from gennaker.paths import join_inside
from gennaker.stage import PlanContext, StageInputs
from gennaker_stages.kubernetes.bundle.documents import MAX_BUNDLE, Document, read_documents
from gennaker_stages.kubernetes.bundle.writing import BundleStage, Rendered
from gennaker_stages.manifests.patterns import find_base, find_files, matches

__all__ = ["ManifestsLoad"]


class ManifestsLoad(BundleStage):
    """Load plain YAML files as a bundle of Kubernetes objects."""

    name = "manifests.load"

    class Inputs(StageInputs):
        """Which files."""

        files: tuple[str, ...] = Field(
            min_length=1,
            description="Files, folders and globs ('k8s/**/*.yaml'), relative to the project root",
        )
        exclude: tuple[str, ...] = Field(
            default=(), description="Files and globs of what is left out"
        )

    def list_sources(self, inputs: Inputs) -> list[str]:
        """The files, and of a glob the folder it looks in."""
        return [find_base(each) for each in inputs.files]

    def describe(self, inputs: Inputs) -> str:
        """Name what is loaded."""
        return f"load {', '.join(inputs.files)}"

    def render(self, inputs: Inputs, ctx: PlanContext) -> Rendered:
        """Read the files in the order in which they are named, each once."""
        found: dict[str, None] = {}
        missing = []
        for pattern in inputs.files:
            files = find_files(ctx.source, pattern)
            if not files:
                missing.append(repr(pattern))
            left = [each for each in files if not any(matches(each, no) for no in inputs.exclude)]
            found |= dict.fromkeys(left)
        if missing:
            raise PermanentError(
                f"there is no file {', '.join(missing)} in the source",
                code="manifests-missing",
                hint="paths are relative to the project root; '**' stands for any folders",
            )
        documents: list[Document] = []
        size = 0
        for each in found:
            path = join_inside(ctx.source, each)
            size += path.stat().st_size
            if size > MAX_BUNDLE:
                raise PermanentError(
                    f"the files have more than {MAX_BUNDLE >> 20} MiB together, with {each!r}",
                    code="bundle-size",
                    hint="load and deploy them in parts",
                )
            documents += read_documents(path.read_bytes(), each)
        return Rendered(documents)
