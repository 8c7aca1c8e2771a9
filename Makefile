# Everything that anyone does here is a target: make run, make test, make bench.
# Each is a line or two of plain commands; nothing else has to be known.

GO       ?= go
BUILD    := build
BIN      := $(BUILD)/secondgate
TOOLS    := $(BUILD)/tools
DATA     := $(abspath $(BUILD))/data
FUZZTIME ?= 5s
STORM    ?= 10m
SCALE    ?= 1000000

.PHONY: help build deps run test vet lint vuln race e2e fuzz xcaddy bench bench-scale pages storm cluster walk mutate deploy clean

help: ## what there is
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

build: ## the gateway, as build/secondgate
	@mkdir -p $(BUILD)
	$(GO) build -ldflags '-s -w' -o $(BIN) ./cmd/secondgate

deps: ## Debian packages that the tests need; elsewhere says what is missing
	@bash tools/deps

run: build ## the example gateway with the demo app on http://localhost:8080, its console on :8081
	@bash tools/run $(BIN) $(DATA)

test: vet lint race e2e deploy xcaddy fuzz vuln ## everything

vet:
	@$(GO) vet ./...
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not formatted:"; gofmt -l $$(git ls-files '*.go'); exit 1; }

lint: $(TOOLS)/staticcheck ## staticcheck
	$(TOOLS)/staticcheck ./...

# What looks at every page in a browser is left to e2e: the pages stand still meanwhile,
# and the race detector makes it three times as long.
race:
	$(GO) test -race -timeout 40m -skip '^TestPages_AreAccessible$$' $$($(GO) list ./... | grep -v /e2e)

e2e: ## the whole gateway from outside, as a process of its own, and every page in a browser
	$(GO) test -timeout 20m -count 1 -run '^TestPages_AreAccessible$$' ./pages
	$(GO) test -timeout 40m ./e2e
	$(GO) test -timeout 20m -count 1 ./e2e/scale

xcaddy: ## builds the module into a plain Caddy, as xcaddy does, and runs the example
	$(GO) test -timeout 10m -count 1 -run '^TestXcaddy$$' ./caddymodule -xcaddy

fuzz: ## each fuzz target for some seconds (FUZZTIME=5s)
	@bash tools/fuzz $(FUZZTIME)

vuln: $(TOOLS)/govulncheck ## govulncheck, where its database answers
	@bash tools/vuln $(TOOLS)/govulncheck

bench: build ## benchmarks, the whole gateway against a plain Caddy, lists of a million users
	$(GO) test -run '^$$' -bench . -benchmem ./mfa/... ./session/... ./guard/... ./store/... ./caddymodule
	$(GO) test -timeout 40m -count 1 -run '^(TestCompare|TestIdle_Memory)$$' -v ./e2e -compare -idle
	$(GO) test -timeout 60m -count 1 -run '^TestLists_ofManyUsers$$' -v ./store/badger -lists 1000000

bench-scale: ## a million users (SCALE=1000000) beside a thousand, in both stores: half an hour, 15 GB of disk
	$(GO) test -timeout 3h -count 1 -run '^(TestScale_|TestThroughput$$)' -v ./e2e/scale -scale $(SCALE)

pages: ## every page in every state, as HTML and PNG, in build/pages
	$(GO) test -timeout 20m -count 1 -run '^TestPages$$' ./pages -pages $(abspath $(BUILD))/pages

storm: ## kills gateways and databases again and again (STORM=10m) and counts what is lost
	$(GO) test -timeout 3h -count 1 -run '^TestStorm(_PostgreSQL)?$$' -v ./e2e -storm 1 -stormtime $(STORM)

cluster: ## two and three gateways over one PostgreSQL, killed, hanging, cut off, upgraded; the long form
	$(GO) test -timeout 2h -count 1 -run '^TestCluster_' -v ./e2e -cluster

walk: ## walks through the space of rules, states and places, and further than the tests do
	$(GO) test -timeout 20m -count 1 -run '^TestWalk$$' -v ./mfa -walkmeet 4 -walkmore 100000

mutate: ## breaks one rule after the other, and sees that the walk notices each
	$(GO) test -timeout 60m -count 1 -run '^TestWalk_Mutations$$' -v ./mfa -mutate

deploy: ## what is in deploy/, with Helm, the readers of Docker's files and systemd-analyze
	cd tools/deploy && $(GO) vet ./... && $(GO) test -timeout 30m -count 1 ./...

clean:
	rm -rf $(BUILD)

$(TOOLS)/staticcheck: tools/go.mod
	@mkdir -p $(TOOLS)
	cd tools && $(GO) build -o $(abspath $@) honnef.co/go/tools/cmd/staticcheck

$(TOOLS)/govulncheck: tools/go.mod
	@mkdir -p $(TOOLS)
	cd tools && $(GO) build -o $(abspath $@) golang.org/x/vuln/cmd/govulncheck
