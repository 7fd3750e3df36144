# A small image without a shell: the binary, the C library it links to, and nobody's rights.
#   docker build -t fanfare .
#   docker run -p 8080:8080 -p 8999:8999 -v fanfare:/data fanfare
FROM rust:1-slim-bookworm AS build
# SQLite and jemalloc are compiled in.
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# Dependencies and objects stay in the builder's cache from one build to the next.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin fanfare \
    && mkdir -p /out/data \
    && cp target/release/fanfare /out/fanfare

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/fanfare /usr/local/bin/fanfare
# A volume takes the owner of the folder that it covers.
COPY --from=build --chown=nonroot:nonroot /out/data /data
VOLUME /data
# HTTP and TLV. The operator's listener stays on the container's own loopback address unless
# FANFARE__ADMIN__LISTEN and FANFARE__ADMIN__TOKEN say otherwise.
EXPOSE 8080 8999
# Longer than drain_timeout: docker stop -t 30.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/fanfare"]
CMD ["serve", "--data", "/data"]
