"""The time limit of a resource's creation, update and deletion, for all resources of a stack."""

from __future__ import annotations

import pulumi


def limit_operations(timeout: str) -> None:
    """Give every resource that is declared from now on `timeout`, such as `24h`, for an operation.

    The Docker provider's own limit is 20 minutes for each (the default of terraform-plugin-sdk),
    which a compile, a pull of gigabytes or a slow push exceeds. What really hangs is ended by
    whoever watches it: a person, or the workflow's own limit.
    """
    limits = pulumi.CustomTimeouts(create=timeout, update=timeout, delete=timeout)

    def limited(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult:
        options = pulumi.ResourceOptions(custom_timeouts=limits)
        return pulumi.ResourceTransformationResult(
            props=args.props, opts=pulumi.ResourceOptions.merge(options, args.opts)
        )

    pulumi.runtime.register_stack_transformation(limited)
