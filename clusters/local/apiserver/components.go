package apiserver

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/periplus-fleet/periplus/clusters/local/process"
)

// ReducedControllers are what a cluster needs whose workloads are custom resources only: garbage collection by owner,
// namespaces, ServiceAccounts and aggregated roles.
var ReducedControllers = []string{"garbage-collector-controller", "namespace-controller", "serviceaccount-controller",
	"clusterrole-aggregation-controller", "root-ca-certificate-publisher-controller"}

// ControllerManager says how to run the server's kube-controller-manager with these controllers ("*" is the default set).
// It writes the kubeconfig; the user is the one that RBAC has roles for. Valid after Spec.
func (s *Server) ControllerManager(controllers []string, args ...string) (process.Spec, error) {
	flags := append([]string{
		"--controllers=" + strings.Join(controllers, ","),
		"--service-account-private-key-file=" + s.file("sa.key"), "--root-ca-file=" + s.file("ca.crt"),
		// Each controller acts as its own ServiceAccount, as in a real cluster.
		"--use-service-account-credentials=true", "--concurrent-gc-syncs=5", "--concurrent-namespace-syncs=5",
		"--node-monitor-grace-period=10m", "--allocate-node-cidrs=false",
	}, args...)
	return s.component("kube-controller-manager", "system:kube-controller-manager", flags)
}

// Scheduler says how to run the server's kube-scheduler. Valid after Spec.
func (s *Server) Scheduler(args ...string) (process.Spec, error) {
	return s.component("kube-scheduler", "system:kube-scheduler", args)
}

func (s *Server) component(name, user string, args []string) (process.Spec, error) {
	kubeconfig := filepath.Join(s.Folder, name+".kubeconfig")
	data, err := s.Kubeconfig(user)
	if err == nil {
		err = writeFile(kubeconfig, data)
	}
	if err != nil {
		return process.Spec{}, fmt.Errorf("cannot prepare %s of cluster %q: %w", name, s.Name, err)
	}
	args = append([]string{name, "--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=", "--authorization-kubeconfig=",
		"--secure-port=0", "--leader-elect=false", "--profiling=false", "--v=0", "--kube-api-qps=200", "--kube-api-burst=400"}, args...)
	return process.Spec{Name: s.Name + " " + name, Path: s.Kube, Args: args, Env: s.Env, Dir: s.Folder,
		Log: filepath.Join(s.Folder, name+".log"), PidFile: filepath.Join(s.Folder, name+".pid")}, nil
}
