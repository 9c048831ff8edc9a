# Periplus. `make help` lists what there is.
#
# Everything runs with the shell, coreutils, git and go alone. Binaries are static: CGO is off unless the race detector
# needs it. Main-module builds use the same flags as tests, so that both share one build cache.
export CGO_ENABLED ?= 0
GO ?= go
# The version needs no flag: go build stamps the module's version and commit, and every command says them.
LDFLAGS = -s -w
COMMANDS = periplus-hub periplus-agent periplus periplus-sandbox
# PLUGINS are examples of external plugins, each a module of its own; the sandbox declares them to its hub.
PLUGINS = environment
SANDBOX = bin/periplus-sandbox
# What `make check` tests: what ships, by decisions and in memory. What needs an API server or PostgreSQL is `make test`'s.
FAST = ./api/... ./policies/... ./plugins/... ./charts/... ./clusters/... ./agent/... ./hub/...
# Where goroutines meet: streams, the store's writers, control loops and supervised processes.
RACE = ./agent/... ./hub/link/... ./hub/store/... ./hub/control ./hub/render/... ./plugins/host/... ./plugins/renderer/kustomize ./clusters/local/process ./e2e/link

.DEFAULT_GOAL := help
.PHONY: help build tools plugin-contract test test-race test-fresh check verify generate fmt lint bench soak faults images sandbox sandbox-check sandbox-reset clean

help: ## list the targets
	@printf '%s\n' \
		'make build          bin/: periplus-hub, periplus-agent, periplus, periplus-sandbox, kube, kubectl, plugins' \
		'make sandbox        a whole fleet on this machine; Ctrl-C stops it and keeps its state (FLEET=<git url or folder>, ONCE=1: stop when all is ready)' \
		'make sandbox-check  the same without a person, in a folder of its own, and proves that it works (SANDBOX_CLUSTERS=2..8, FLEET=)' \
		'make sandbox-reset  forget the state of make sandbox' \
		'make check          what to run before a commit, in two minutes: vet, format, import rules, fast tests' \
		'make test           all tests (REQUIRE_ALL=1: none may be skipped)' \
		'make plugin-contract  the contract test of its type against a plugin (PLUGIN=<path>, FIXTURE=<bundle folder>, CONFIG=<yaml>, NETWORK=1)' \
		'make test-race      the tests of concurrent packages under the race detector; needs a C compiler' \
		'make test-fresh     a clone, an unprivileged user, an empty environment: the commands of README.md' \
		'make verify         generated code is fresh, format, linters, import rules, go.mod, commands in docs' \
		'make generate       generate code from protos and API types' \
		'make fmt            format the code' \
		'make bench          measure the budgets, one JSON line each (RUN=<name prefix>)' \
		'make soak           churn, failures and an oracle around one agent; the last line is JSON (MINUTES=30, SEED=)' \
		'make faults         breaks all that an agent stands on, under a running one (POINTS=200, RUN=)' \
		'make images         container images of agent and hub in dist/, as OCI layouts, without Docker; the same commit gives the same digests' \
		'make clean          remove bin/ and dist/'

build: tools $(addprefix bin/,$(COMMANDS)) $(addprefix bin/plugins/,$(PLUGINS)) ## all binaries

# Go knows best what is up to date.
.PHONY: $(addprefix bin/,$(COMMANDS)) $(addprefix bin/plugins/,$(PLUGINS))
$(addprefix bin/,$(COMMANDS)): bin/%:
	@mkdir -p bin
	$(GO) build -ldflags "$(LDFLAGS)" -o $@ ./cmd/$*

$(addprefix bin/plugins/,$(PLUGINS)): bin/plugins/%:
	@mkdir -p bin/plugins
	$(GO) build -C plugins/examples/$* -ldflags "$(LDFLAGS)" -o ../../../$@ .

plugin-contract:
	@test -n "$(PLUGIN)" || { echo 'name the plugin to test: make plugin-contract PLUGIN=<path of its program>' >&2; exit 2; }
	$(GO) test -count 1 -v ./plugins/contract -plugin '$(abspath $(PLUGIN))' $(if $(FIXTURE),-fixture '$(abspath $(FIXTURE))') $(if $(CONFIG),-config '$(abspath $(CONFIG))') $(if $(NETWORK),-network)

tools: ## bin/kube and bin/kubectl, from the tools cache
	@mkdir -p bin && folder=$$(sh e2e/tools/build.sh kube) && ln -sf "$$folder/kube" bin/kube && ln -sf "$$folder/kube" bin/kubectl

test:
	$(GO) test -timeout 30m ./...

# Apart from test, as the race detector compiles everything a second time; -short leaves out what needs an API server.
test-race:
	@if ! command -v $${CC:-gcc} >/dev/null; then echo 'skipped: the race detector needs a C compiler'; test -z "$(REQUIRE_ALL)"; exit; fi; \
	CGO_ENABLED=1 $(GO) test -race -short -timeout 30m $(RACE)

test-fresh:
	sh e2e/fresh.sh

check:
	@sh e2e/tools/verify.sh format imports
	$(GO) vet ./...
	$(GO) test -short -timeout 5m $(FAST)

verify:
	@sh e2e/tools/verify.sh all

generate:
	sh e2e/tools/generate.sh

fmt:
	gofmt -w $$(git ls-files -co --exclude-standard '*.go')

lint:
	@sh e2e/tools/verify.sh lint

bench:
	$(GO) run ./e2e/bench -run '$(RUN)'

soak:
	$(GO) run ./e2e/soak $(if $(MINUTES),-minutes $(MINUTES)) $(if $(SEED),-seed $(SEED))

faults:
	PERIPLUS_FAULT_POINTS=$(or $(POINTS),200) $(GO) test -v -count=1 -timeout 30m $(if $(RUN),-run '$(RUN)') ./e2e/faults

# Linux images from any machine; skopeo, crane and oras copy an OCI layout to a registry.
images:
	@$(GO) run ./e2e/tools/images

sandbox: build
	$(SANDBOX) run $(if $(FLEET),--fleet '$(FLEET)') $(if $(ONCE),--once)

sandbox-check: build
	$(SANDBOX) check $(if $(FLEET),--fleet '$(FLEET)') $(if $(SANDBOX_CLUSTERS),--clusters $(SANDBOX_CLUSTERS))

sandbox-reset: bin/periplus-sandbox
	$(SANDBOX) reset

clean:
	rm -rf bin dist
