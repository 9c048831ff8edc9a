// Package testenv gives tests real Kubernetes API servers, built from source: nothing is downloaded and none is faked.
// All test binaries of a machine share one server; it starts on first use and ends by itself when unused.
package testenv

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

var kubeOnce = sync.OnceValues(findKube)

// Kube is the path of the multi-call binary of e2e/tools/kube: $PERIPLUS_KUBE, else the one in the tools cache, which is
// built if need be. Where that fails, the test is skipped, or fails if REQUIRE_ALL is set.
func Kube(t testing.TB) string {
	t.Helper()
	path, err := kubeOnce()
	if err != nil {
		missing(t, "no API server: %v", err)
	}
	return path
}

// FindKube is Kube for what is no test.
func FindKube() (string, error) { return kubeOnce() }

func findKube() (string, error) {
	if path := os.Getenv("PERIPLUS_KUBE"); path != "" {
		return path, nil
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	// The script finds its own result in the cache by the hash of the tool's sources, and builds it at most once.
	build := exec.Command("sh", filepath.Join(root, "e2e/tools/build.sh"), "kube")
	build.Stderr = os.Stderr
	out, err := build.Output()
	if err != nil {
		return "", fmt.Errorf("cannot build e2e/tools/kube: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "kube"), nil
}

// Root is the folder of the main module.
func Root() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return "", fmt.Errorf("cannot find the module's folder")
	}
	root := filepath.Join(filepath.Dir(file), "..", "..")
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		return "", fmt.Errorf("cannot find the module's folder: %w", err)
	}
	return root, nil
}

func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("REQUIRE_ALL") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// Ports are free ports on 127.0.0.1 at the time of asking.
func Ports(t testing.TB, count int) []int {
	t.Helper()
	ports, err := freePorts(count)
	if err != nil {
		t.Fatal(err)
	}
	return ports
}

// FreePorts is Ports for what is no test.
func FreePorts(count int) ([]int, error) { return freePorts(count) }

// freePorts holds all listeners until the last is open, so that no port is given twice.
func freePorts(count int) ([]int, error) {
	ports := make([]int, 0, count)
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("cannot find a free port: %w", err)
		}
		defer func() { _ = listener.Close() }()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
