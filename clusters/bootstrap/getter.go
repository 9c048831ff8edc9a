package bootstrap

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

// getter gives Helm its clients from a kubeconfig in memory: nothing is read from or written to a disk.
type getter struct {
	loader    clientcmd.ClientConfig
	config    *rest.Config
	discovery discovery.CachedDiscoveryInterface
	mapper    meta.RESTMapper
}

func newGetter(kubeconfig []byte) (*getter, error) {
	raw, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return nil, err
	}
	if err := selfContained(raw.AuthInfos[currentUser(raw.CurrentContext, raw.Contexts)]); err != nil {
		return nil, err
	}
	overrides := &clientcmd.ConfigOverrides{}
	overrides.Context.Namespace = Namespace
	loader := clientcmd.NewDefaultClientConfig(*raw, overrides)
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, err
	}
	config.Timeout = memberTimeout
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("cannot make a discovery client: %w", err)
	}
	cached := memory.NewMemCacheClient(client)
	return &getter{loader: loader, config: config, discovery: cached, mapper: restmapper.NewDeferredDiscoveryRESTMapper(cached)}, nil
}

func (g *getter) ToRESTConfig() (*rest.Config, error) { return rest.CopyConfig(g.config), nil }
func (g *getter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	return g.discovery, nil
}
func (g *getter) ToRESTMapper() (meta.RESTMapper, error)        { return g.mapper, nil }
func (g *getter) ToRawKubeConfigLoader() clientcmd.ClientConfig { return g.loader }
