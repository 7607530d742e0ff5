# The inference image: fetches a model, then serves it with llama.cpp's llama-server.
# Build context: app/inference. ENGINE is cpu, or cuda for both; CUDA_IMAGE is fetched for cuda only.
ARG BASE_IMAGE=python:3.11-slim
ARG CUDA_IMAGE=nvidia/cuda:12.8.1-devel-ubuntu22.04
ARG ENGINE=cpu

# ---- builder: compiler and Python build tools --------------------------------------------------
FROM ${BASE_IMAGE} AS builder
ENV DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1
RUN apt-get update \
 && apt-get install -y --no-install-recommends cmake g++ ninja-build \
 && rm -rf /var/lib/apt/lists/*
COPY build-requirements.txt /src/
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /opt/build-venv \
 && /opt/build-venv/bin/pip install --require-hashes -r /src/build-requirements.txt

# ---- engine-source: llama.cpp, as the pinned source distribution carries it ---------------------
FROM builder AS engine-source
COPY llama-source.txt /src/
# pip asks the build backend for metadata even when it only downloads: without isolation it finds the
# one pinned above, which needs no compiler for that.
RUN --mount=type=cache,target=/root/.cache/pip \
    PATH="/opt/build-venv/bin:$PATH" pip download --no-deps --no-binary :all: --no-build-isolation \
      --require-hashes --dest /src/sdist -r /src/llama-source.txt \
 && mkdir /src/llama \
 && tar -xzf /src/sdist/*.tar.gz -C /src/llama --strip-components=3 --wildcards '*/vendor/llama.cpp' \
 && rm -rf /src/sdist

# ---- engine-cpu: llama-server with one CPU backend per generation of processors ------------------
FROM engine-source AS engine-cpu
# Upstream builds 14 variants for x86. These 7 halve the compile time, and every processor still gets
# the widest of SSE2, AVX2, AVX-512, VNNI, BF16 and AMX that it has in a common combination; the engine
# picks the best one when it starts. On ARM, what needs SME is left out: Debian 12's compiler lacks it.
RUN sed -i -E \
      -e '/ggml_add_cpu_backend_variant\((sse42|sandybridge|ivybridge|piledriver|cannonlake|cascadelake|cooperlake) /d' \
      -e '/ggml_add_cpu_backend_variant\(armv9\.2_[12] /d' \
      /src/llama/ggml/src/CMakeLists.txt
# The build folder outlives an interrupted build, which then goes on where it stopped; only what is
# linked now is copied out of it. Warnings are off (-w): GCC 12 warns about its own AVX-512 headers by
# the megabyte, and past 2 MB BuildKit shows no more progress.
RUN --mount=type=cache,id=llama-server-build,target=/src/build,sharing=locked \
    cmake -S /src/llama -B /src/build -G Ninja \
      -DCMAKE_BUILD_TYPE=Release \
      -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON '-DCMAKE_INSTALL_RPATH=$ORIGIN' \
      -DBUILD_SHARED_LIBS=ON -DGGML_BACKEND_DL=ON -DGGML_CPU_ALL_VARIANTS=ON -DGGML_NATIVE=OFF \
      -DGGML_CCACHE=OFF -DLLAMA_ALL_WARNINGS=OFF -DCMAKE_C_FLAGS=-w -DCMAKE_CXX_FLAGS=-w \
      -DLLAMA_OPENSSL=OFF -DLLAMA_SUBPROCESS=OFF \
      -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF \
      -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TESTS=OFF \
 && rm -rf /src/build/bin \
 && NINJA_STATUS='[%f/%t, %e s] ' ninja -C /src/build llama-server \
 && mkdir /opt/llama \
 && cp -a /src/build/bin/llama-server /src/build/bin/lib*.so* /opt/llama/ \
 && strip --strip-unneeded /opt/llama/*

# ---- cuda-backend: the one library by which the same llama-server uses GPUs -----------------------
FROM ${CUDA_IMAGE} AS cuda-backend
ARG CUDA_ARCHITECTURES="75-virtual;80-virtual;86-real;89-real;90-virtual"
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends cmake g++ ninja-build \
 && rm -rf /var/lib/apt/lists/*
COPY --from=engine-source /src/llama /src/llama
# The driver's libcuda is not here but on the host, whose runtime brings it into the container. What
# else the backend needs lies beside it, where the loader looks first. What CMake found in another
# CUDA_IMAGE is forgotten.
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

FROM engine-cpu AS engine-cuda
COPY --from=cuda-backend /opt/cuda /opt/llama

FROM engine-${ENGINE} AS engine

# ---- tiny-model: a small model for stacks that reach no model hub --------------------------------
FROM builder AS tiny-model
COPY tiny_gguf.py /src/inference/
RUN mkdir /opt/models && cd /src && /opt/build-venv/bin/python -m inference.tiny_gguf /opt/models/tiny.gguf

# ---- python-packages: what the runtime imports ---------------------------------------------------
FROM ${BASE_IMAGE} AS python-packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.txt /src/
# hf-xet speaks a second download protocol whose transfers cannot be resumed; without it the plain one,
# which can, is used. pip has no work left once the environment is complete.
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /opt/venv \
 && /opt/venv/bin/pip install --require-hashes -r /src/requirements.txt \
 && /opt/venv/bin/pip uninstall --yes hf-xet \
 && /opt/venv/bin/pip uninstall --yes setuptools pip

# ---- runtime ------------------------------------------------------------------------------------
FROM ${BASE_IMAGE} AS runtime
# What apt downloads and remembers, tens of megabytes, stays out of the layer.
RUN --mount=type=tmpfs,target=/var/cache/apt --mount=type=tmpfs,target=/var/lib/apt/lists \
    apt-get update \
 && apt-get install -y --no-install-recommends libgomp1 libstdc++6 \
 && groupadd --gid 10001 inference \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin inference \
 && install -d -o 10001 -g 10001 /models
COPY --from=python-packages /opt/venv /opt/venv
COPY --from=engine /opt/llama /opt/llama
COPY --from=tiny-model /opt/models /opt/models
COPY --chmod=755 *.py /opt/app/inference/
# The engine's threads wait for each other many times per word. Where another busy program shares the
# CPUs, waiting actively was measured to bring a model from thousands of words a second to less than one.
ENV PATH="/opt/venv/bin:$PATH" \
    PYTHONPATH=/opt/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OMP_WAIT_POLICY=passive \
    HF_HOME=/tmp/huggingface \
    HF_HUB_DISABLE_TELEMETRY=1
USER 10001:10001
EXPOSE 8000
# A model of several gigabytes may take an hour to arrive; the first healthy answer ends that grace.
HEALTHCHECK --interval=30s --timeout=5s --start-period=1h --retries=3 \
    CMD ["python3", "-IS", "/opt/app/inference/health.py"]
ENTRYPOINT ["python3", "-m", "inference"]
