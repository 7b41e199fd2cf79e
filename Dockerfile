# syntax=docker/dockerfile:1
# The service and the page. Build arguments:
#   DEVICE       cpu or cuda: where inference runs unless UNDERSTORY_DEVICE says otherwise
#   TORCH_INDEX  a package index to take torch from; on Linux the usual one brings several GB of CUDA
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
ARG TORCH_INDEX=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /app
COPY constraints.txt ./
RUN pip install -c constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch
COPY pyproject.toml README.md LICENSE ./
COPY latent latent
COPY server server
# Only what the service needs: `trainer` stays an empty package, and its dependencies stay out.
RUN mkdir trainer && touch trainer/__init__.py && pip install -c constraints.txt -e '.[trace]'
# Compiled here, so that no request and no start waits for it.
RUN NUMBA_CACHE_DIR=/app/kernels NUMBA_CPU_NAME=generic python -m server.kernels

FROM python:${PYTHON}-slim
ARG DEVICE=cpu
# An allocator; and for CUDA the C compiler with which Triton makes its launchers when it first meets the device.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libjemalloc2 \
    && if [ "$DEVICE" = cuda ]; then apt-get install -y --no-install-recommends gcc libc6-dev; fi \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 10001 understory && useradd --uid 10001 --gid 10001 --no-create-home understory
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
COPY static static
COPY templates templates
COPY models models
# The root may be read-only: compiled kernels go to /tmp, where numba and Triton want to be able to write.
# Tensors of every size come and go with each batch: with jemalloc a request takes some 3 % less time than with
# glibc's allocator, and large requests leave later ones no slower. What is free for a minute is given back.
ENV PATH=/opt/venv/bin:$PATH \
    LD_PRELOAD=libjemalloc.so.2 \
    MALLOC_CONF=narenas:2,oversize_threshold:0,dirty_decay_ms:60000,muzzy_decay_ms:60000 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/tmp/kernels \
    NUMBA_CPU_NAME=generic \
    TRITON_CACHE_DIR=/tmp/triton \
    UNDERSTORY_HOST=0.0.0.0 \
    UNDERSTORY_PORT=8000 \
    UNDERSTORY_DEVICE=${DEVICE} \
    UNDERSTORY_DRAIN_SECONDS=5
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=5 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
ENTRYPOINT ["/bin/sh", "-c", "cp -R /app/kernels /tmp/ && exec python -m server \"$@\"", "understory"]
