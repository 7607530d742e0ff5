# The restarter, which alone holds the Docker socket. Context: app
# It adds some twenty kilobytes to a base that the other images share: no package, no shell of its own.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS builder
# A checkout under umask 077 has files that user 10001 could not read.
COPY --chmod=755 restarter /build/restarter
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /build/restarter

FROM ${BASE_IMAGE}
COPY --from=builder /build/restarter /opt/app/restarter
ENV PYTHONPATH=/opt \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 8070
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python3", "-IS", "/opt/app/restarter/alive.py"]
ENTRYPOINT ["python3", "-m", "app.restarter"]
