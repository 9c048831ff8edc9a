package agent

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/periplus-fleet/periplus/agent/query"
)

// ErrUsage says that the command line is wrong.
var ErrUsage = errors.New("usage")

var caHash = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// ParseFlags reads the command line and the environment: KUBECONFIG (the cluster that the agent runs in, when unset) and
// POD_NAMESPACE. An error that wraps ErrUsage was already explained on out.
func ParseFlags(args []string, getenv func(string) string, out io.Writer) (Config, error) {
	config := Config{Version: version()}
	flags := flag.NewFlagSet("periplus-agent", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Func("hub-endpoint", "address (`host:port`) of the hub's link; repeat it for more, in order of preference", func(text string) error {
		config.HubEndpoints = append(config.HubEndpoints, text)
		return nil
	})
	flags.StringVar(&config.HubCAHash, "hub-ca-hash", "", "`sha256:<hex>` of the public key of the hub's CA")
	flags.StringVar(&config.JoinSecret, "join-secret", "", "`name` of the Secret whose key \"token\" is the join token")
	flags.Func("tenant", "`namespace=account`: bundles of this tenant may act as this ServiceAccount of the agent's namespace; repeat it for more", config.Tenants.Add)
	flags.StringVar(&config.Namespace, "namespace", getenv("POD_NAMESPACE"), "`namespace` that the agent runs in")
	flags.StringVar(&config.SopsSecret, "sops-secret", "periplus-sops", "`name` of the Secret of the agent's namespace whose keys *.agekey and *.asc open sealed manifests")
	config.Queries = map[string]bool{}
	queries := flags.String("queries", strings.Join(query.Kinds, ","), "`kinds` of queries that people may put to this cluster through the hub; none when empty")
	policyFlags(flags, &config.Policy)
	flags.StringVar(&config.HealthAddress, "health-address", "", "`address` to serve /healthz and /readyz on; none when empty")
	flags.StringVar(&config.HealthRules, "health-rules", "", "`folder` of Rego files that tell the health of kinds, before the rules that ship; none when empty")
	level := slog.LevelInfo
	flags.TextVar(&level, "log-level", slog.LevelInfo, "least `level` to log: debug, info, warn or error")
	if err := flags.Parse(args); err != nil {
		return Config{}, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	err := check(config, flags.Args())
	for kind := range strings.SplitSeq(*queries, ",") {
		if kind != "" && !slices.Contains(query.Kinds, kind) && err == nil {
			err = fmt.Errorf("%w: --queries: unknown kind %q; known are %s", ErrUsage, kind, strings.Join(query.Kinds, ", "))
		}
		config.Queries[kind] = true
	}
	if err != nil {
		fmt.Fprintln(out, "periplus-agent:", err)
		return Config{}, err
	}
	config.Log = slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level}))
	if config.Kubernetes, err = kubernetes(getenv("KUBECONFIG")); err != nil {
		return Config{}, err
	}
	return config, nil
}

func check(config Config, rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%w: unknown argument %q", ErrUsage, rest[0])
	case config.Namespace == "":
		return fmt.Errorf("%w: --namespace is required where POD_NAMESPACE is not set", ErrUsage)
	case config.Policy.Role == roleAdmission:
		return config.Policy.check()
	case len(config.HubEndpoints) == 0:
		return fmt.Errorf("%w: --hub-endpoint is required", ErrUsage)
	case !caHash.MatchString(config.HubCAHash):
		return fmt.Errorf("%w: --hub-ca-hash must be sha256: and 64 hex digits, not %q", ErrUsage, config.HubCAHash)
	default:
		return config.Policy.check()
	}
}

func kubernetes(path string) (*rest.Config, error) {
	if path == "" {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("cannot find the cluster: set KUBECONFIG, or run in a pod: %w", err)
		}
		return config, nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("cannot read KUBECONFIG %q: %w", path, err)
	}
	return config, nil
}

// ExitCode is 0, 1 after a failure, which is told, and 2 after a wrong command line.
func ExitCode(err error, tell func(error)) int {
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, ErrUsage):
		return 2
	default:
		tell(err)
		return 1
	}
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "devel"
}
