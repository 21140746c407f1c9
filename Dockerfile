# A small image with nothing but a static grab and the certificates it trusts. README.md says how to use it:
#   docker build -t grab . && docker run --rm -e MASSIVE_API_KEY -v grab-data:/data grab status
FROM rust:1.95.0-slim-bookworm AS build
# musl-gcc builds the parts in C: SQLite, zstd, ring.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates musl-tools \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# The toolchain is the image's own, of the version that rust-toolchain.toml names: that file would ask for clippy, too.
RUN rustup target add "$(uname -m)-unknown-linux-musl"
COPY Cargo.toml Cargo.lock ./
COPY crates crates
COPY src src
RUN cargo build --profile dist --locked --bin grab --target "$(uname -m)-unknown-linux-musl" \
    && cp "target/$(uname -m)-unknown-linux-musl/dist/grab" /usr/local/bin/grab \
    && mkdir /data /config

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /usr/local/bin/grab /usr/local/bin/
# Nobody in particular. A folder that is mounted at /data has to be writable by this user, or by the one of `--user`.
COPY --from=build --chown=65532:65532 /data /data
COPY --from=build --chown=65532:65532 /config /config
USER 65532:65532
ENV GRAB_DATA_DIR=/data
# grab.toml, specs and files of symbols, if there are any.
WORKDIR /config
VOLUME /data
ENTRYPOINT ["/usr/local/bin/grab"]
CMD ["--help"]
