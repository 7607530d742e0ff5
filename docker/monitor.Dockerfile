# The health monitor. Context: app
# The secret ca_bundle: see chat.Dockerfile. apt does not need it: its archives are signed and fetched
# over HTTP. With the file mounted, it could not install ca-certificates.
ARG BASE_IMAGE=ubuntu:24.04

FROM ${BASE_IMAGE} AS python
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        python3-minimal libpython3-stdlib ca-certificates \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/cache/debconf /var/log/* \
        /usr/share/doc /usr/share/man \
    && install -d -o 10001 -g 10001 /var/lib/monitor

FROM python AS builder
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv
COPY monitor/requirements.txt /build/
# A folder, not a virtual environment, which would contain the path of the interpreter.
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=ca_bundle,target=/etc/ssl/certs/ca-certificates.crt \
    python3 -m venv /build/pip \
    && /build/pip/bin/pip install --no-compile --require-hashes --only-binary :all: \
        --target /build/lib --requirement /build/requirements.txt \
    && rm -rf /build/lib/bin
# Files of a checkout with umask 077 would be unreadable for user 10001.
COPY --chmod=755 shared /build/app/shared
COPY --chmod=755 monitor /build/app/monitor
# Compile the bytecode here: the root file system is read-only at run time.
RUN rm /build/app/monitor/requirements.txt \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /build/app /build/lib

FROM python
COPY --from=builder /build/lib /opt/lib
COPY --from=builder /build/app /opt/app
ENV PYTHONPATH=/opt:/opt/lib \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 8090
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python3", "-IS", "/opt/app/shared/health_check.py", "8090"]
ENTRYPOINT ["python3", "-m", "app.monitor"]
