"""The time limit for building, pulling, pushing and starting what a stack consists of."""

from __future__ import annotations

import pulumi

# What can take long. The provider refuses a limit for networks and volumes, which take seconds.
LIMITED = frozenset(
    {
        "docker:index/remoteImage:RemoteImage",
        "docker:index/registryImage:RegistryImage",
        "docker:index/container:Container",
        "docker:index/service:Service",
    }
)


def limit_operations(timeout: str) -> None:
    """Give each image, container and service that is declared from now on a time limit.

    The Docker provider's own is 20 minutes for an operation (the default of terraform-plugin-sdk),
    which a compile, a pull of gigabytes or a slow push exceeds. What really hangs is ended by a
    person, or by the limit of a workflow.

    :param timeout: such as `24h`, for a creation, an update and a deletion alike.
    """
    limits = pulumi.CustomTimeouts(create=timeout, update=timeout, delete=timeout)

    def limited(
        args: pulumi.ResourceTransformationArgs,
    ) -> pulumi.ResourceTransformationResult | None:
        if args.type_ not in LIMITED:
            return None
        options = pulumi.ResourceOptions(custom_timeouts=limits)
        return pulumi.ResourceTransformationResult(
            props=args.props, opts=pulumi.ResourceOptions.merge(options, args.opts)
        )

    pulumi.runtime.register_stack_transformation(limited)
