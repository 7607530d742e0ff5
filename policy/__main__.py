"""Registers the rules as a policy pack: pulumi preview --policy-pack policy."""

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)
from rules import RULES, Resource, Rule


def policy(rule: Rule) -> ResourceValidationPolicy:
    """Wrap a rule as a Pulumi resource policy."""

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        # urn:pulumi:<stack>::<project>::<types>::<name>
        stack = args.urn.removeprefix("urn:pulumi:").partition("::")[0]
        for violation in rule.violations(Resource(args.resource_type, args.props, stack)):
            report(f"{args.name} {violation}.", None)

    level = EnforcementLevel.ADVISORY if rule.advisory else EnforcementLevel.MANDATORY
    return ResourceValidationPolicy(
        name=rule.name, description=rule.description, validate=validate, enforcement_level=level
    )


PolicyPack(
    name="llm-stack",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[policy(rule) for rule in RULES],
)
