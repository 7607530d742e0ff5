# The connector of a tunnel: the published cloudflared on the base image of the monitor.
# The build uses no file of this project. Both images exist for amd64 and arm64.
ARG BASE_IMAGE=ubuntu:24.04
ARG CLOUDFLARED_IMAGE=cloudflare/cloudflared:2026.8.2

FROM ${CLOUDFLARED_IMAGE} AS published

FROM ${BASE_IMAGE}
# The base image may not have CA certificates: use those of the published image.
COPY --from=published /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=published /usr/local/bin/cloudflared /usr/local/bin/cloudflared
USER 65532:65532
EXPOSE 20241
# Flags go before the subcommand: after it, they print the help and exit with 0, connected or not.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["cloudflared", "tunnel", "--metrics", "127.0.0.1:20241", "ready"]
ENTRYPOINT ["cloudflared"]
CMD ["tunnel", "--no-autoupdate", "--metrics", "0.0.0.0:20241", "run"]
