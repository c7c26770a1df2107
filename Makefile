# The commands of everyday work; CONTRIBUTING.md explains them.

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 30
BENCH    ?= .
PKG      ?= ./proxy/http1
SAMPLE   ?= 0

.PHONY: check format vet lint test race build bench bench-smoke microbench fuzz mutate schema clean

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

clean:
	rm -rf keystone-gateway dist coverage.out
