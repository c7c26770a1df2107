# The commands of everyday work; CONTRIBUTING.md explains them.

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 30
BENCH    ?= .
PKG      ?= ./proxy/http1
SAMPLE   ?= 0

# Where install puts things: below DESTDIR, for packagers.
DESTDIR  ?=
PREFIX   ?= /usr/local
SYSCONFDIR ?= /etc
IMAGE    ?= dist/image

.PHONY: check format vet lint test race build bench bench-smoke microbench fuzz mutate schema install image-root clean

# check is what a commit must pass.
check: format vet lint test race

format:
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then printf 'not formatted, run gofmt -w:\n%s\n' "$$files"; exit 1; fi

vet:
	go vet ./...

lint:
	.ci/lint run ./...

test:
	go test -shuffle=on ./...

race:
	CGO_ENABLED=1 go test -race -shuffle=on ./...

# build makes the binary for this machine, or for GOOS and GOARCH.
build:
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o keystone-gateway .

# bench compares the gateway with every proxy that is installed: about two hours.
bench:
	go run ./bench compare $(BENCHFLAGS)
	go run ./bench report

# bench-smoke checks in less than a minute that the comparison works.
bench-smoke:
	go run ./bench compare -smoke

# microbench runs the benchmarks beside the code: make microbench BENCH=Match
microbench:
	go test -run='^$$' -bench='$(BENCH)' -benchmem ./...

# fuzz runs every fuzz target for FUZZTIME seconds.
fuzz:
	.ci/fuzz $(FUZZTIME)

# mutate says whether tests notice changes of a package: make mutate PKG=./upstream SAMPLE=200
mutate:
	go run ./test/mutate -sample $(SAMPLE) $(MUTATEFLAGS) $(PKG)

# schema writes config.schema.json and docs/configuration.md anew.
schema:
	go test ./proxy -run='^TestDocuments$$' -update

# install installs the binary, the units and a first configuration.
install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/lib/sysusers.d $(DESTDIR)$(SYSCONFDIR)/keystone-gateway/scripts
	install -m 755 keystone-gateway $(DESTDIR)$(PREFIX)/bin/.keystone-gateway.new
	mv $(DESTDIR)$(PREFIX)/bin/.keystone-gateway.new $(DESTDIR)$(PREFIX)/bin/keystone-gateway # one that runs can't be written to
	sed 's,@BIN@,$(PREFIX)/bin/keystone-gateway,' packaging/keystone-gateway.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/keystone-gateway.service
	install -m 644 packaging/keystone-gateway.socket $(DESTDIR)$(PREFIX)/lib/systemd/system/keystone-gateway.socket
	install -m 644 packaging/keystone-gateway.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/keystone-gateway.conf
	[ -e $(DESTDIR)$(SYSCONFDIR)/keystone-gateway/config.yaml ] || install -m 644 packaging/config.yaml $(DESTDIR)$(SYSCONFDIR)/keystone-gateway/config.yaml

# image-root makes the root file system of the image in IMAGE, for the Dockerfile.
image-root: build
	install -d $(IMAGE)/usr/bin $(IMAGE)/etc/keystone-gateway/scripts $(IMAGE)/etc/ssl/certs
	install -m 755 keystone-gateway $(IMAGE)/usr/bin/keystone-gateway
	install -m 644 /etc/ssl/certs/ca-certificates.crt $(IMAGE)/etc/ssl/certs/ca-certificates.crt
	install -m 644 packaging/config.yaml $(IMAGE)/etc/keystone-gateway/config.yaml

clean:
	rm -rf keystone-gateway dist coverage.out
