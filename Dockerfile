# The image has the gateway, the authorities that it trusts targets by, and a
# configuration to be replaced; no shell, no libraries, nothing to be written to.
# docs/operations.md says how to run it.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN make image-root IMAGE=/image VERSION="$VERSION"

FROM scratch
COPY --from=build /image /
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/bin/keystone-gateway"]
CMD ["run", "-config", "/etc/keystone-gateway/config.yaml"]
