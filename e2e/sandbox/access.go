package sandbox

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	_ "embed"

	"github.com/periplus-fleet/periplus/api/crds"
	"github.com/periplus-fleet/periplus/clusters/admission"
	"github.com/periplus-fleet/periplus/clusters/local/apiserver"
)

// fieldManager of what the sandbox applies as the administrator that installs a hub.
const fieldManager = "periplus-sandbox"

//go:embed rbac.yaml
var rbac string

// Install brings the hub's kinds, accounts, rights and admission policies into its API server.
func Install(ctx context.Context, config *rest.Config) error {
	c, err := client.New(config, client.Options{})
	if err != nil {
		return err
	}
	var objects []*unstructured.Unstructured
	err = fs.WalkDir(crds.Files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(crds.Files, path)
		if err != nil {
			return err
		}
		parsed, err := documents(string(data))
		objects = append(objects, parsed...)
		return err
	})
	if err != nil {
		return err
	}
	for _, object := range objects {
		if err := apply(ctx, c, object); err != nil {
			return err
		}
	}
	for _, object := range objects {
		if err := established(ctx, c, object.GetName()); err != nil {
			return err
		}
	}
	text := strings.NewReplacer("SYSTEM_NAMESPACE", SystemNamespace, "TENANT_NAMESPACE", TenantNamespace,
		"HUB_ACCOUNT", hubAccount, "WRITER_ACCOUNT", writerAccount).Replace(rbac)
	accounts, err := documents(text)
	if err != nil {
		return err
	}
	for _, object := range accounts {
		if err := apply(ctx, c, object); err != nil {
			return err
		}
	}
	return admission.Install(ctx, c, HubUser)
}

func documents(text string) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for _, part := range strings.Split("\n"+text, "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(part), &object.Object); err != nil {
			return nil, err
		}
		if len(object.Object) > 0 {
			out = append(out, object)
		}
	}
	return out, nil
}

func apply(ctx context.Context, c client.Client, object *unstructured.Unstructured) error {
	err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner(fieldManager), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("cannot apply %s %q: %w", object.GetKind(), object.GetName(), err)
	}
	return nil
}

// established waits until a CRD's kind is served.
func established(ctx context.Context, c client.Client, name string) error {
	crd := &unstructured.Unstructured{}
	crd.SetAPIVersion("apiextensions.k8s.io/v1")
	crd.SetKind("CustomResourceDefinition")
	return until(ctx, "CustomResourceDefinition "+name+" is established", func() error {
		if err := c.Get(ctx, client.ObjectKey{Name: name}, crd); err != nil {
			return err
		}
		conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
		for _, condition := range conditions {
			if m, ok := condition.(map[string]any); ok && m["type"] == "Established" && m["status"] == "True" {
				return nil
			}
		}
		return fmt.Errorf("it is not")
	})
}

// HubKubeconfig writes the hub's kubeconfig: its own ServiceAccount's token and the rights of rbac.yaml, as in a pod.
func HubKubeconfig(ctx context.Context, config *rest.Config, path string) error {
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	life := int64((365 * 24 * time.Hour).Seconds())
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &life}}
	token, err := clients.CoreV1().ServiceAccounts(SystemNamespace).CreateToken(ctx, hubAccount, request, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("cannot make the hub's token: %w", err)
	}
	data, err := apiserver.Kubeconfig("hub", hubAccount, &rest.Config{Host: config.Host, BearerToken: token.Status.Token,
		TLSClientConfig: rest.TLSClientConfig{CAData: config.CAData}})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// until asks every 100 ms until there is no error or ctx is done.
func until(ctx context.Context, what string, condition func() error) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not in time: %s: %w", what, err)
		case <-tick.C:
		}
	}
}
