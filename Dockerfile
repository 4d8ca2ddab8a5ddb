# The image of mailgate: locked dependencies with hashes, no tools of development, no root.
# Build it in the repository: docker build --tag mailgate:0.1.0 .

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
# The wheel is built with the locked tools of development, which stay in this stage.
COPY requirements.lock ./
RUN python -m venv /tools && /tools/bin/pip install --quiet --require-hashes -r requirements.lock
COPY deploy/requirements.lock ./run.lock
RUN python -m venv /opt/mailgate && /opt/mailgate/bin/pip install --quiet --require-hashes -r run.lock
COPY pyproject.toml README.md ./
COPY models models
COPY matching matching
COPY parsing parsing
COPY storage storage
COPY intake intake
COPY imports imports
COPY transfer transfer
COPY mailgate mailgate
RUN /tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /dist . \
    && /opt/mailgate/bin/pip install --quiet --no-deps /dist/*.whl \
    && /opt/mailgate/bin/python -m compileall -q /opt/mailgate/lib \
    && /opt/mailgate/bin/pip uninstall --quiet --yes pip setuptools

FROM python:3.11-slim-bookworm
RUN groupadd --system --gid 10001 mailgate \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/mailgate \
       --shell /usr/sbin/nologin mailgate \
    && install --directory --owner 10001 --group 10001 --mode 0700 /var/lib/mailgate
COPY --from=build /opt/mailgate /opt/mailgate
COPY deploy/mailgate.toml /etc/mailgate/mailgate.toml
ENV PATH=/opt/mailgate/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MAILGATE_CONFIG=/etc/mailgate/mailgate.toml
USER 10001:10001
WORKDIR /var/lib/mailgate
VOLUME /var/lib/mailgate
EXPOSE 2525 2222 2121 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9464/healthz', timeout=5)"]
ENTRYPOINT ["mailgate"]
CMD ["serve"]
