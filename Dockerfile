# One image for the service and both jobs (.do/app.yaml); which command runs is said there.
# Needs no root and no writable root filesystem: `docker run --read-only --tmpfs /tmp`.

# By the digest of the multi-architecture index. Python's minor version is the one the tests run on.
FROM python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY requirements.lock ./
# Every package of the lock, checked against its hash; from here on no index is asked any more.
RUN pip wheel --require-hashes --no-deps --wheel-dir /wheels --requirement requirements.lock
COPY pyproject.toml README.md ./
COPY reconciler ./reconciler
# Of those, what the program itself needs: the tools of developers stay behind.
RUN python -m venv /venv && /venv/bin/pip install --no-index --find-links /wheels ".[charts]" && /venv/bin/pip check

FROM python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d
COPY --from=build /venv /venv
WORKDIR /app
COPY rules ./rules
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib
USER 10001:10001
EXPOSE 8080
CMD ["reconcile", "serve", "--host", "0.0.0.0", "--port", "8080"]
