package local

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/clusters/local/capi"
	"github.com/periplus-fleet/periplus/clusters/local/install"
	"github.com/periplus-fleet/periplus/clusters/local/pki"
	"github.com/periplus-fleet/periplus/clusters/local/v1alpha1"
)

//go:embed crds/*.yaml
var crds embed.FS

const webhookHost = "127.0.0.1"

func certDir(cfg Config) string { return filepath.Join(cfg.DataDir, "webhook") }

func addToScheme(scheme *runtime.Scheme) error {
	return errors.Join(capi.AddToScheme(scheme), v1alpha1.AddToScheme(scheme))
}

// Install puts the CRDs of Cluster API and of the provider and the webhooks on the hub's API server, and makes the webhooks'
// certificate. Until Run serves them, writes of Clusters are refused. It may be called again.
func Install(ctx context.Context, cfg Config) error {
	cfg = cfg.withDefaults()
	scheme := runtime.NewScheme()
	if err := addToScheme(scheme); err != nil {
		return err
	}
	c, err := client.New(cfg.Installer, client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("cannot reach the hub's API server: %w", err)
	}
	core, err := capi.CRDs()
	if err != nil {
		return err
	}
	own, err := install.ReadCRDs(crds, "crds")
	if err != nil {
		return err
	}
	if err := install.CRDs(ctx, c, append(core, own...)); err != nil {
		return err
	}
	ca, err := webhookCertificate(certDir(cfg))
	if err != nil {
		return fmt.Errorf("cannot make the webhooks' certificate: %w", err)
	}
	mutating, validating, err := capi.Webhooks("https://"+net.JoinHostPort(webhookHost, strconv.Itoa(cfg.WebhookPort)), ca)
	if err != nil {
		return err
	}
	return errors.Join(installRights(ctx, c), install.Apply(ctx, c, mutating), install.Apply(ctx, c, validating))
}

// webhookCertificate keeps a CA in the folder, issues a fresh serving certificate, and returns the CA's certificate.
func webhookCertificate(folder string) ([]byte, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	file := func(name string) string { return filepath.Join(folder, name) }
	cert, certErr := os.ReadFile(file("ca.crt"))
	key, keyErr := os.ReadFile(file("ca.key"))
	ca := pki.Pair{Cert: cert, Key: key}
	if err := errors.Join(certErr, keyErr); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if ca, err = pki.NewCA("periplus-webhooks"); err != nil {
			return nil, err
		}
		if err := errors.Join(os.WriteFile(file("ca.crt"), ca.Cert, 0o600), os.WriteFile(file("ca.key"), ca.Key, 0o600)); err != nil {
			return nil, err
		}
	}
	serving, err := ca.Serving(webhookHost)
	if err != nil {
		return nil, err
	}
	return ca.Cert, errors.Join(os.WriteFile(file("tls.crt"), serving.Cert, 0o600), os.WriteFile(file("tls.key"), serving.Key, 0o600))
}
