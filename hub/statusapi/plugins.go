package statusapi

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/hub/plugins/state"
	"github.com/periplus-fleet/periplus/plugins/host"
)

// ListPlugins lists the plugins as the control role reported them.
func (s *Service) ListPlugins(ctx context.Context, _ *statusv1.ListPluginsRequest) (*statusv1.ListPluginsResponse, error) {
	if err := s.authz.require(ctx, "ListPlugins", ""); err != nil {
		return nil, err
	}
	list, reported, err := state.Published(ctx, s.cfg.Store)
	if err != nil {
		return nil, unavailable(err)
	}
	response := &statusv1.ListPluginsResponse{Reported: stamp(reported)}
	for _, one := range list {
		response.Items = append(response.Items, pluginView(one, reported, s.cfg.Now()))
	}
	return response, nil
}

// CheckPlugin shows one plugin.
func (s *Service) CheckPlugin(ctx context.Context, request *statusv1.CheckPluginRequest) (*statusv1.Plugin, error) {
	if err := s.authz.require(ctx, "CheckPlugin", ""); err != nil {
		return nil, err
	}
	if err := required("name", request.GetName()); err != nil {
		return nil, err
	}
	list, reported, err := state.Published(ctx, s.cfg.Store)
	if err != nil {
		return nil, unavailable(err)
	}
	for _, one := range list {
		if one.Name == request.GetName() {
			return pluginView(one, reported, s.cfg.Now()), nil
		}
	}
	return nil, status.Errorf(codes.NotFound, "no plugin %q is declared", request.GetName())
}

func pluginView(one host.Status, reported, now time.Time) *statusv1.Plugin {
	view := &statusv1.Plugin{Name: one.Name, Type: one.Type, Version: one.Version, TypeVersion: one.TypeVersion, Source: one.Source,
		State: one.State, Message: one.Message, Processes: int32(one.Processes), Limit: int32(one.Limit), Held: int32(one.Held),
		Restarts: one.Restarts, Calls: one.Calls, Failures: one.Failures, P50Ms: milliseconds(one.P50), P99Ms: milliseconds(one.P99),
		Problems: state.Problems(one, reported, now)}
	for _, condition := range one.Conditions {
		view.Conditions = append(view.Conditions, &statusv1.PluginCondition{Type: condition.Type, Message: condition.Message})
	}
	return view
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
