package root

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/cmd/periplus/client"
)

func declared() []*statusv1.Plugin {
	return []*statusv1.Plugin{
		{Name: "helm", Type: "renderer", Version: "v4", TypeVersion: 1, Source: "built-in", State: "Ready", Processes: 1, Limit: 2, Calls: 7, P50Ms: 1.25, P99Ms: 30},
		{Name: "env", Type: "renderer", Source: "env", State: "Refused", Limit: 2, Problems: []string{"Refused: its program differs"}},
	}
}

func (h hub) ListPlugins(context.Context, *statusv1.ListPluginsRequest) (*statusv1.ListPluginsResponse, error) {
	return &statusv1.ListPluginsResponse{Items: declared(), Reported: timestamppb.Now()}, nil
}

func (h hub) CheckPlugin(_ context.Context, request *statusv1.CheckPluginRequest) (*statusv1.Plugin, error) {
	for _, one := range declared() {
		if one.GetName() == request.GetName() {
			return one, nil
		}
	}
	return nil, status.Errorf(codes.NotFound, "no plugin %q is declared", request.GetName())
}

func TestPlugin(t *testing.T) {
	cases := map[string]struct {
		reason string
		args   string
		code   int
		out    string
		errs   string
	}{
		"List": {"all that there is to know, and what to do next", "plugin list", 0,
			"helm\trenderer\tv4 (renderer v1)\tReady\t1/2\t0\t7\t0\t1.2ms\t30.0ms\tbuilt-in\nenv\trenderer\t-\tRefused\t0/2\t0\t0\t0\t-\t-\tenv\n", "periplus plugin check env"},
		"CheckAll":     {"a problem fails the check", "plugin check", client.ExitFailed, "helm\tok\nenv\tRefused: its program differs\n", "1 of 2 plugins are not as they should be"},
		"CheckOne":     {"of the one asked for only", "plugin check helm", 0, "helm\tok\n", ""},
		"CheckFaulty":  {"so that scripts can tell", "plugin check env", client.ExitFailed, "env\tRefused: its program differs\n", "1 of 1"},
		"CheckUnknown": {"a wrong name is an error", "plugin check other", client.ExitFailed, "", `no plugin "other"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			code, out, errs := run(t, append(strings.Fields(tc.args), append(serve(t, hub{}), "--token", "good")...)...)
			if code != tc.code || out != tc.out || !strings.Contains(errs, tc.errs) {
				t.Errorf("%s: exit %d\nout: %s\nerr: %s", tc.reason, code, out, errs)
			}
			_, out, _ = run(t, append(strings.Fields(tc.args), append(serve(t, hub{}), "--token", "good", "-o", "json")...)...)
			if tc.out != "" && !json.Valid([]byte(out)) {
				t.Errorf("as JSON: %s", out)
			}
		})
	}
}
