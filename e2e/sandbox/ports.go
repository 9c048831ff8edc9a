package sandbox

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"net"
	"os"
	"path/filepath"
)

// Ports by the name of what listens. They are chosen once and recorded: kubeconfigs and certificates stay good.
type Ports map[string]int

var portNames = []string{"hub etcd", "hub etcd peer", "members etcd", "members etcd peer", "hub Kubernetes API", "git",
	"cluster API webhooks", "hub link", "hub API", "hub health"}

func (p Ports) names() iter.Seq[string] { return maps.Keys(p) }

// loadPorts reads the recorded ports and chooses free ones for what has none yet.
func loadPorts(path string) (Ports, error) {
	ports := Ports{}
	if data, err := os.ReadFile(path); err == nil {
		if err := json.Unmarshal(data, &ports); err != nil {
			return nil, &Failure{What: "cannot read " + path, Do: "make sandbox-reset", Err: err}
		}
	}
	changed := false
	for _, name := range portNames {
		if ports[name] != 0 {
			continue
		}
		// All listeners stay open until the end, so that no port is given twice.
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("cannot choose a port for %s: %w", name, err)
		}
		defer func() { _ = listener.Close() }()
		ports[name] = listener.Addr().(*net.TCPAddr).Port
		changed = true
	}
	if !changed {
		return ports, nil
	}
	data, err := json.MarshalIndent(ports, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o755)
	}
	if err == nil {
		err = os.WriteFile(path, data, 0o644)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot record ports: %w", err)
	}
	return ports, nil
}
