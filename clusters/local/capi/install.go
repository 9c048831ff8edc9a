package capi

import (
	"embed"
	"errors"
	"fmt"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/clusters/local/install"
)

//go:generate go run ./generate

//go:embed crds/*.yaml
var crds embed.FS

//go:embed webhooks.yaml
var webhookManifests string

// CRDs of Cluster API's core.
func CRDs() ([]*apiextensionsv1.CustomResourceDefinition, error) {
	return install.ReadCRDs(crds, "crds")
}

// Webhooks of the core that Setup serves, at the base URL and checked with the CA.
func Webhooks(url string, ca []byte) (*admissionregistrationv1.MutatingWebhookConfiguration, *admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	var mutating admissionregistrationv1.MutatingWebhookConfiguration
	var validating admissionregistrationv1.ValidatingWebhookConfiguration
	for _, document := range strings.Split(webhookManifests, "\n---\n") {
		var err error
		switch {
		case strings.Contains(document, "kind: MutatingWebhookConfiguration"):
			err = yaml.Unmarshal([]byte(document), &mutating)
		case strings.Contains(document, "kind: ValidatingWebhookConfiguration"):
			err = yaml.Unmarshal([]byte(document), &validating)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("cannot read Cluster API's webhooks: %w", err)
		}
	}
	mutating.Name, validating.Name = name, name
	keptMutating := mutating.Webhooks[:0]
	for _, w := range mutating.Webhooks {
		if served(w.Rules) {
			w.ClientConfig = direct(w.ClientConfig, url, ca)
			keptMutating = append(keptMutating, w)
		}
	}
	mutating.Webhooks = keptMutating
	keptValidating := validating.Webhooks[:0]
	for _, w := range validating.Webhooks {
		if served(w.Rules) {
			w.ClientConfig = direct(w.ClientConfig, url, ca)
			keptValidating = append(keptValidating, w)
		}
	}
	validating.Webhooks = keptValidating
	return &mutating, &validating, nil
}

// resources whose webhooks Setup serves.
var resources = map[string]bool{"clusters": true, "clusterclasses": true, "machines": true, "machinesets": true,
	"machinedeployments": true, "machinedrainrules": true, "machinehealthchecks": true}

func served(rules []admissionregistrationv1.RuleWithOperations) bool {
	for _, rule := range rules {
		for _, resource := range rule.Resources {
			if base, _, _ := strings.Cut(resource, "/"); !resources[base] {
				return false
			}
		}
	}
	return true
}

func direct(config admissionregistrationv1.WebhookClientConfig, url string, ca []byte) admissionregistrationv1.WebhookClientConfig {
	target := url
	if config.Service != nil && config.Service.Path != nil {
		target += *config.Service.Path
	}
	return admissionregistrationv1.WebhookClientConfig{URL: &target, CABundle: ca}
}

// contractVersion is the version that a provider's CRD names for the contract that this core speaks.
func contractVersion(labels map[string]string) (string, error) {
	value := labels["cluster.x-k8s.io/v1beta2"]
	if value == "" {
		return "", errors.New(`its CRD has no label "cluster.x-k8s.io/v1beta2"`)
	}
	versions := strings.Split(value, "_")
	return versions[len(versions)-1], nil
}
