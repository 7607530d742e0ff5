# The chat service: the gateway and its page. Context: app
# If the stack sets llm-stack:caFile, the secret ca_bundle holds the public authorities and the company's
# own, for the steps that download. Without it they use the image's own file.
ARG BASE_IMAGE=python:3.11-slim

# ---- pip: the installer for all stages, as in inference.Dockerfile ---------------------------------
FROM ${BASE_IMAGE} AS pip
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CERT=/etc/ssl/certs/ca-certificates.crt
RUN python3 -m venv /opt/pip

# ---- web: the page, built by npm; Node.js comes from PyPI, so no second base image is needed ------
FROM pip AS web
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
COPY chat/requirements-web.txt /build/
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=ca_bundle,target=/etc/ssl/certs/ca-certificates.crt \
    python3 -m venv --without-pip /opt/node \
    && /opt/pip/bin/pip --python /opt/node/bin/python3 install --require-hashes --only-binary :all: --requirement /build/requirements-web.txt
ENV PATH=/opt/node/bin:$PATH
WORKDIR /build/web
COPY chat/web/package.json chat/web/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm \
    --mount=type=secret,id=ca_bundle,target=/etc/ssl/certs/ca-certificates.crt \
    npm ci --no-audit --no-fund
# Vite keeps the permissions of public/, and a checkout those of its umask.
COPY --chmod=755 chat/web/ ./
RUN npm run build

# ---- builder: the virtual environment and the package, with bytecode ------------------------------
FROM pip AS builder
COPY chat/requirements.txt /build/
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=ca_bundle,target=/etc/ssl/certs/ca-certificates.crt \
    python3 -m venv --without-pip /opt/venv \
    && /opt/pip/bin/pip --python /opt/venv/bin/python3 install \
        --no-compile --require-hashes --only-binary :all: --requirement /build/requirements.txt
# Files of a checkout with umask 077 would be unreadable for user 10001.
COPY --chmod=755 shared /opt/app/shared
COPY --chmod=755 chat /opt/app/chat
# Compile the bytecode here: the root file system is read-only at run time.
RUN rm -r /opt/app/chat/web /opt/app/chat/requirements*.txt \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib /opt/app

# ---- runtime: no compiler, no installer, no Node.js -----------------------------------------------
FROM ${BASE_IMAGE}
COPY --from=builder /opt/venv /opt/venv
COPY --from=builder /opt/app /opt/app
COPY --from=web /build/web/dist /opt/app/chat/web/dist
# A new volume at this path gets its owner.
RUN install -d -o 10001 -g 10001 /var/lib/chat
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/opt \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python3", "-IS", "/opt/app/shared/health_check.py", "8080"]
ENTRYPOINT ["python3", "-m", "app.chat"]
