package identity

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"strings"
)

const scheme = "periplus"

// AgentName is who an agent's certificate says that it is.
type AgentName struct {
	Fleet     string
	Namespace string
	Name      string
	// UID is the Kubernetes UID of the FleetCluster: a recreated cluster is another one.
	UID string
}

// Cluster is "namespace/name".
func (n AgentName) Cluster() string { return n.Namespace + "/" + n.Name }

// URI is the name in a certificate: periplus://<fleet>/<namespace>/<name>/<uid>.
func (n AgentName) URI() *url.URL {
	return &url.URL{Scheme: scheme, Host: n.Fleet, Path: "/" + n.Namespace + "/" + n.Name + "/" + n.UID}
}

// HubURI is the name in a hub's server certificate: periplus://<fleet>/hub.
func HubURI(fleet string) *url.URL { return &url.URL{Scheme: scheme, Host: fleet, Path: "/hub"} }

// AgentOf reads the name of an agent's certificate.
func AgentOf(certificate *x509.Certificate) (AgentName, error) {
	if len(certificate.URIs) != 1 {
		return AgentName{}, fmt.Errorf("an agent's certificate has one URI, this one %d", len(certificate.URIs))
	}
	uri := certificate.URIs[0]
	parts := strings.Split(uri.Path, "/")
	if uri.Scheme != scheme || uri.Host == "" || len(parts) != 4 || parts[0] != "" || parts[1] == "" || parts[2] == "" || parts[3] == "" {
		return AgentName{}, fmt.Errorf("%.200q is not the URI of an agent", uri.String())
	}
	return AgentName{Fleet: uri.Host, Namespace: parts[1], Name: parts[2], UID: parts[3]}, nil
}
