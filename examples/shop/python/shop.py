"""Both pipelines of the shop in Python: one function, two ways to build the image."""

from collections.abc import Callable
from typing import Any

from gennaker import Pipeline, environment, secrets
from gennaker_stages import approval, docker, helm, kubernetes, oci, shell

VERIFY = """\
echo "built   $BUILT"
echo "running $RUNNING"
test "$RUNNING" = "$BUILT"
"""


def deliver(name: str, build: Callable[..., Any]) -> Pipeline:
    """Build, deploy to staging, verify, ask, deploy to production."""
    with Pipeline(name, title="Deploy ${{ params.version }}") as pipeline:
        version = pipeline.parameter(
            "version", default="1.4.0", description="What this build is called"
        )
        registry = pipeline.parameter(
            "registry", default="registry.test", description="Where the image belongs"
        )
        base = pipeline.parameter("base", default="scratch", description="The image to build on")
        push = pipeline.parameter(
            "push", type="boolean", default=False, description="Whether the image is pushed"
        )

        image = build(base, tags=[f"{registry}/shop:{version}"], push=push)

        manifests = {
            target: helm.template(
                f"manifests_{target}",
                environment=target,
                chart="deploy/chart",
                values=[f"deploy/{target}.yaml"],
                set={
                    "image": image.reference,
                    "host": environment.variables.host,
                    "replicas": environment.variables.replicas,
                },
            )
            for target in ("staging", "production")
        }

        def deploy(target: str, **keys: Any) -> Any:
            return kubernetes.deploy(
                target,
                environment=target,
                bundle=manifests[target].bundle,
                secrets={"shop-db": {"password": secrets.db_password}},
                **keys,
            )

        deploy("staging")
        verify = shell(
            "verify_staging",
            name="What runs in staging is what was built",
            source=False,
            env={
                "BUILT": image.reference,
                "RUNNING": "${{ stages.staging.outputs.images.join(' ') }}",
            },
            run=VERIFY,
        )
        go_live = approval(
            "go_live",
            needs=[verify, manifests["production"]],
            message=f"Deploy {version} to production?",
            approvers=["group:release"],
            expires="24h",
        )
        deploy("production", needs=go_live)
    return pipeline


def build_with_docker(base: Any, **keys: Any) -> Any:
    return docker.build("image", context="app", build_args={"BASE": base}, **keys)


def build_without_docker(base: Any, **keys: Any) -> Any:
    return oci.build(
        "image",
        base=base,
        files={"/www": "app/www", "/etc/httpd.conf": "app/httpd.conf"},
        command=[
            "/bin/busybox",
            "httpd",
            "-f",
            "-p",
            "8080",
            "-c",
            "/etc/httpd.conf",
            "-h",
            "/www",
        ],
        ports=[8080],
        **keys,
    )


shop = deliver("shop", build_with_docker)
shop_oci = deliver("shop_oci", build_without_docker)
