// Package apiserver knows how to run the control plane of one local cluster from the multi-call binary of e2e/tools/kube:
// a kube-apiserver on its own etcd prefix, with its controller-manager and scheduler. It makes keys, flags, audit policy and
// kubeconfigs, and hands process specs to package process; it starts nothing by itself.
//
// The local Cluster API provider uses it for members, the sandbox and the tests' environment for the hub's API server.
package apiserver

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/periplus-fleet/periplus/clusters/local/pki"
	"github.com/periplus-fleet/periplus/clusters/local/process"
)

// Server is one kube-apiserver.
type Server struct {
	// Kube is the path of the multi-call binary.
	Kube string
	// Name of the cluster, for reports, the CA and kubeconfigs.
	Name string
	// Folder for keys, logs and pid files.
	Folder string
	// Port on 127.0.0.1.
	Port int
	// Etcd and the Prefix of this cluster in it, such as "/registry-<uid>".
	Etcd   Access
	Prefix string
	// CA signs the serving certificate and is the one that clients are checked with. Empty: made and kept in Folder.
	CA pki.Pair
	// ServiceAccounts signs tokens. Empty: made and kept in Folder.
	ServiceAccounts pki.Pair
	// EmulatedVersion, such as "1.35", is the version that the server behaves as. Empty: its own.
	EmulatedVersion string
	// Audit writes one JSON line a request to AuditLog.
	Audit bool
	// Args are further flags, Env further variables.
	Args, Env []string
}

// auditPolicy records who did what to which object, without contents: Secrets must not stand in a log. Reads of the
// machinery itself are left out, as they would be most of the log.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  nonResourceURLs: ["/healthz*", "/readyz*", "/livez*", "/metrics", "/openapi/*", "/version"]
- level: None
  users: ["system:apiserver"]
- level: Metadata
`

// Spec writes keys and policy (pairs that exist are kept, except that a serving certificate is always fresh) and says how
// to run the server.
func (s *Server) Spec() (process.Spec, error) {
	if err := s.keys(); err != nil {
		return process.Spec{}, fmt.Errorf("cannot prepare the API server of cluster %q: %w", s.Name, err)
	}
	args := []string{"kube-apiserver",
		"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(s.Port),
		// Nothing reaches the server as a Service, and a loopback address may not be in an endpoint.
		"--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
		"--etcd-servers=" + s.Etcd.URL, "--etcd-prefix=" + s.Prefix,
		"--etcd-cafile=" + s.Etcd.CAFile, "--etcd-certfile=" + s.Etcd.CertFile, "--etcd-keyfile=" + s.Etcd.KeyFile,
		"--tls-cert-file=" + s.file("apiserver.crt"), "--tls-private-key-file=" + s.file("apiserver.key"),
		"--client-ca-file=" + s.file("ca.crt"), "--cert-dir=" + filepath.Join(s.Folder, "generated"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-signing-key-file=" + s.file("sa.key"), "--service-account-key-file=" + s.file("sa.crt"),
		"--service-cluster-ip-range=10.96.0.0/16",
		"--authorization-mode=RBAC", "--allow-privileged=true", "--profiling=false",
		"--shutdown-delay-duration=0s", "--v=0",
	}
	if s.EmulatedVersion != "" {
		args = append(args, "--emulated-version="+s.EmulatedVersion)
	}
	if s.Audit {
		policy := filepath.Join(s.Folder, "audit-policy.yaml")
		if err := writeFile(policy, []byte(auditPolicy)); err != nil {
			return process.Spec{}, fmt.Errorf("cannot write the audit policy of cluster %q: %w", s.Name, err)
		}
		args = append(args, "--audit-policy-file="+policy, "--audit-log-path="+s.AuditLog(),
			"--audit-log-format=json", "--audit-log-maxsize=256", "--audit-log-maxbackup=8")
	}
	ready, err := s.ready()
	if err != nil {
		return process.Spec{}, err
	}
	return process.Spec{Name: s.Name + " kube-apiserver", Path: s.Kube, Args: append(args, s.Args...), Env: s.Env, Dir: s.Folder,
		Log: filepath.Join(s.Folder, "kube-apiserver.log"), PidFile: filepath.Join(s.Folder, "kube-apiserver.pid"), Ready: ready}, nil
}

func (s *Server) file(name string) string { return filepath.Join(s.Folder, "pki", name) }

// AuditLog is the path of the audit log; rotated parts stand beside it.
func (s *Server) AuditLog() string { return filepath.Join(s.Folder, "audit.log") }

// URL of the server.
func (s *Server) URL() string { return fmt.Sprintf("https://127.0.0.1:%d", s.Port) }

func (s *Server) keys() error {
	folder := filepath.Join(s.Folder, "pki")
	var err error
	if len(s.CA.Cert) == 0 {
		s.CA, err = keepPair(folder, "ca", func() (pki.Pair, error) { return pki.NewCA(s.Name) })
	} else {
		// The CA's key stays where the owner keeps it.
		err = writeFile(s.file("ca.crt"), s.CA.Cert)
	}
	if err != nil {
		return err
	}
	if len(s.ServiceAccounts.Key) == 0 {
		s.ServiceAccounts, err = keepPair(folder, "sa", pki.NewServiceAccountKey)
	} else {
		err = writePair(folder, "sa", s.ServiceAccounts)
	}
	if err != nil {
		return err
	}
	serving, err := s.CA.Serving("127.0.0.1", "localhost", "10.96.0.1", "kubernetes", "kubernetes.default",
		"kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
	if err != nil {
		return err
	}
	return writePair(folder, "apiserver", serving)
}

func (s *Server) ready() (func(context.Context) error, error) {
	config, err := s.Config("periplus-readyz", "system:masters")
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	}, nil
}

// Config for a user, by a client certificate issued now; the user's groups follow. Valid after Spec.
func (s *Server) Config(user string, groups ...string) (*rest.Config, error) {
	pair, err := s.CA.Client(user, groups...)
	if err != nil {
		return nil, err
	}
	return &rest.Config{Host: s.URL(), UserAgent: user, QPS: 200, Burst: 400,
		TLSClientConfig: rest.TLSClientConfig{CAData: s.CA.Cert, CertData: pair.Cert, KeyData: pair.Key}}, nil
}

// Kubeconfig of the same, as a file's content.
func (s *Server) Kubeconfig(user string, groups ...string) ([]byte, error) {
	config, err := s.Config(user, groups...)
	if err != nil {
		return nil, err
	}
	return Kubeconfig(s.Name, user, config)
}

// Kubeconfig writes a rest.Config with a client certificate or a bearer token as the content of a kubeconfig.
func Kubeconfig(cluster, user string, config *rest.Config) ([]byte, error) {
	out := clientcmdapi.NewConfig()
	out.Clusters[cluster] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	out.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: config.CertData, ClientKeyData: config.KeyData, Token: config.BearerToken}
	out.Contexts[cluster] = &clientcmdapi.Context{Cluster: cluster, AuthInfo: user}
	out.CurrentContext = cluster
	data, err := clientcmd.Write(*out)
	if err != nil {
		return nil, fmt.Errorf("cannot write a kubeconfig for cluster %q: %w", cluster, err)
	}
	return data, nil
}
