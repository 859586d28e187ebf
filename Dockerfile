# Two images of one build: `slim` runs a job in process, `spark` is Spark's driver and executor too. build.sh makes both:
#   docker build --target slim -t ecompulse:0.1.0 .
#   docker build --target spark -t ecompulse-spark:0.1.0 .
# Behind a private registry: --build-arg PYTHON_IMAGE=registry/python:3.11.14-slim-bookworm and so on; INDEX is where
# Python's packages come from. tests/packaging/test_images.py runs these very lines.
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm
ARG JAVA_IMAGE=eclipse-temurin:17.0.17_10-jre

# ---- build: everything that only making an environment needs stays here --------------------------------------------
FROM ${PYTHON_IMAGE} AS build
ARG UV_VERSION=0.13.9
ARG INDEX=
ARG EXTRAS=kafka,fast,aws,postgres,redis
ENV UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1
WORKDIR /build
RUN python3 -m venv /build/tools && /build/tools/bin/pip install --no-cache-dir ${INDEX:+--index-url "$INDEX"} "uv==${UV_VERSION}"
# The lock file first: the layer of packages stays as long as it does not change.
COPY requirements.lock ./
# Hashes are for the lock as a whole; without them it is a list of exact versions to choose from.
RUN sed -E '/^ +(--hash|#)/d; s/ *\\$//' requirements.lock > constraints.txt
COPY dist/*.whl ./
RUN python3 -m venv --copies --without-pip /opt/ecompulse \
 && wheel="$(ls ecompulse-*.whl)" \
 && tools/bin/uv pip install --python /opt/ecompulse/bin/python ${INDEX:+--index-url "$INDEX"} \
      --constraint constraints.txt "./${wheel}[${EXTRAS}]"

FROM build AS build-spark
ARG INDEX=
ARG EXTRAS=kafka,fast,aws,postgres,redis
RUN tools/bin/uv pip install --python /opt/ecompulse/bin/python ${INDEX:+--index-url "$INDEX"} \
      --constraint constraints.txt "./$(ls ecompulse-*.whl)[${EXTRAS},spark]"

# ---- slim: Python, tini, the environment ----------------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS base
# tini is process 1: it hands signals on, and takes in what is orphaned.
RUN apt-get update \
 && apt-get install -y --no-install-recommends tini=0.19.0-1* \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 ecompulse \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin ecompulse \
 && install -d -o 10001 -g 10001 /data
ENV PATH=/opt/ecompulse/bin:$PATH PYTHONUNBUFFERED=1 HOME=/data
WORKDIR /data
ENTRYPOINT ["/usr/bin/tini", "--", "/opt/ecompulse/bin/entrypoint"]
CMD ["--help"]

FROM base AS slim
COPY --from=build /opt/ecompulse /opt/ecompulse
COPY docker/entrypoint /opt/ecompulse/bin/entrypoint
COPY runner_configs /opt/ecompulse/runner_configs
USER 10001:10001

# ---- spark: with Java 17, and Spark as PyPI's pyspark brings it -----------------------------------------------------
FROM ${JAVA_IMAGE} AS java

FROM base AS spark
COPY --from=java /opt/java/openjdk /opt/java/openjdk
COPY --from=build-spark /opt/ecompulse /opt/ecompulse
COPY docker/entrypoint docker/driver-python /opt/ecompulse/bin/
COPY docker/main.py /opt/ecompulse/main.py
COPY runner_configs /opt/ecompulse/runner_configs
ENV JAVA_HOME=/opt/java/openjdk SPARK_HOME=/opt/spark PYSPARK_PYTHON=/opt/ecompulse/bin/python
# Spark looks for itself, and for its mounted settings, below /opt/spark.
RUN install -d /opt/spark && ln -s /opt/ecompulse/lib/python3*/site-packages/pyspark/* /opt/spark/ \
 && install -d -o 10001 -g 10001 /opt/spark/work-dir /opt/spark/conf
ENV PATH=/opt/java/openjdk/bin:/opt/spark/bin:$PATH
USER 10001:10001
