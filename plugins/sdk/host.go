package sdk

import (
	"context"
	"errors"
	"fmt"
	"sync"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/periplus-fleet/periplus/api/proto/periplus/plugin/v1"
	"github.com/periplus-fleet/periplus/plugins/internal/wire"
	"github.com/periplus-fleet/periplus/plugins/sdk/internal/files"
)

// cacheBytes of files that a process keeps from call to call.
const cacheBytes = 32 << 20

// host is what the hub serves to this process, known after Configure.
type host struct {
	broker *goplugin.GRPCBroker

	mu    sync.Mutex
	files pluginv1.FilesClient
	cache *files.Cache
}

// tree of a call.
func (h *host) tree(ctx context.Context, id uint64, key string) (*files.Tree, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.files == nil {
		return nil, errors.New("cannot read files: the plugin was not configured")
	}
	return files.New(ctx, h.files, id, h.cache, key), nil
}

// connect dials the hub's file service.
func (h *host) connect(id uint32) error {
	connection, err := h.broker.DialWithOptions(id, grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(wire.MaxFile+1<<20)))
	if err != nil {
		return fmt.Errorf("cannot reach the hub's files: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.files, h.cache = pluginv1.NewFilesClient(connection), files.NewCache(cacheBytes)
	return nil
}

// described answers what every plugin is asked.
type described struct {
	pluginv1.UnimplementedPluginServer
	services []Service
	host     *host
}

// Describe says what the services are.
func (d *described) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	out := &pluginv1.DescribeResponse{Name: d.services[0].name, Version: d.services[0].version}
	for _, service := range d.services {
		out.Speaks = append(out.Speaks, &pluginv1.Spoken{Type: service.typ, Version: service.typeVersion})
		out.TakesValues = out.TakesValues || service.takesValues
	}
	return out, nil
}

// Configure hands the configuration to the plugins that take one.
func (d *described) Configure(_ context.Context, request *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	config, err := wire.DecodeObject(request.GetConfig())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	taken := false
	for _, service := range d.services {
		configurable, ok := service.plugin.(Configurable)
		if !ok {
			continue
		}
		taken = true
		if err := configurable.Configure(config); err != nil {
			return nil, status.Error(codes.InvalidArgument, "config: "+err.Error())
		}
	}
	if len(config) > 0 && !taken {
		return nil, status.Error(codes.InvalidArgument, "config: the plugin takes none")
	}
	if request.GetFiles() != 0 {
		if err := d.host.connect(request.GetFiles()); err != nil {
			return nil, err
		}
	}
	return &pluginv1.ConfigureResponse{}, nil
}
