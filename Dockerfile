# mindclf on a CPU:
#
#   docker build -t mindclf .
#   docker run --rm -v "$PWD":/work mindclf predict photo.jpg
#
# pip and apt take packages from where the base image, or your own --build-arg and configuration, says.
ARG PYTHON=python:3.11-slim

FROM ${PYTHON} AS wheel
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY . /source
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /source

FROM ${PYTHON}
# MindSpore's libraries are linked against libgomp, which the slim image lacks.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir /wheels/*.whl && rm -rf /wheels
# What is downloaded or computed once: mount a volume here to keep it between two runs.
ENV MINDCLF_CACHE_DIR=/cache
RUN mkdir --mode=777 /cache
WORKDIR /work
ENTRYPOINT ["mindclf"]
