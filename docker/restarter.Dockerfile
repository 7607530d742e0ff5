# The restarter, the only container with the Docker socket. Context: app
# It adds some twenty kilobytes to the base image of the other images, and no package.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS builder
# Files of a checkout with umask 077 would be unreadable for user 10001.
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
