"""Names of the parts that every stack has beside the services of its catalogue."""

MONITOR = "monitor"
RESTARTER = "restarter"
# An empty image for containers that only carry files into a volume.
CARRIER = "carrier"
# The image that connectors run from, where the settings name no other.
CONNECTOR = "cloudflared"
# Of the job that fetches the files of a model server, after the server's name.
FETCH_SUFFIX = "-fetch"
# Of the files that a program reads again, and on a Swarm of the service that has them.
LISTS_SUFFIX = "-lists"
# Of the volume with the figures that a service records, after its name.
USAGE_SUFFIX = "-usage"
# Of the monitor's check of a public address, after the name of its service or connector.
PUBLIC_SUFFIX = "-public"
