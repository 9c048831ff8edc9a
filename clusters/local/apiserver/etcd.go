package apiserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"github.com/periplus-fleet/periplus/clusters/local/pki"
	"github.com/periplus-fleet/periplus/clusters/local/process"
)

// Etcd is one etcd for any number of API servers, each with its own prefix. It answers only clients with a certificate of
// its CA: what is in it are the Secrets of all clusters, and other users of the machine can reach the port.
type Etcd struct {
	// Kube is the path of the multi-call binary.
	Kube string
	// Folder for data, keys, log and pid file.
	Folder string
	// Port for clients and PeerPort (etcd insists on one), on 127.0.0.1.
	Port, PeerPort int
	// NoSync leaves out fsync: faster, and a crash of the machine may lose data.
	NoSync bool
}

// Access is what an API server needs to reach the etcd.
type Access struct {
	URL                       string
	CAFile, CertFile, KeyFile string
}

// Spec writes the keys (once; they are kept) and says how to run the etcd.
func (e Etcd) Spec() (process.Spec, error) {
	keys := filepath.Join(e.Folder, "pki")
	ca, err := keepPair(keys, "ca", func() (pki.Pair, error) { return pki.NewCA("etcd") })
	if err != nil {
		return process.Spec{}, err
	}
	if _, err := keepPair(keys, "server", func() (pki.Pair, error) { return ca.Serving("127.0.0.1", "localhost") }); err != nil {
		return process.Spec{}, err
	}
	if _, err := keepPair(keys, "client", func() (pki.Pair, error) { return ca.Client("kube-apiserver") }); err != nil {
		return process.Spec{}, err
	}
	peer := fmt.Sprintf("https://127.0.0.1:%d", e.PeerPort)
	file := func(name string) string { return filepath.Join(keys, name) }
	args := []string{"etcd",
		"--name=local", "--data-dir=" + filepath.Join(e.Folder, "data"),
		"--listen-client-urls=" + e.url(), "--advertise-client-urls=" + e.url(),
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=local=" + peer,
		"--cert-file=" + file("server.crt"), "--key-file=" + file("server.key"),
		"--client-cert-auth", "--trusted-ca-file=" + file("ca.crt"),
		"--peer-cert-file=" + file("server.crt"), "--peer-key-file=" + file("server.key"),
		"--peer-client-cert-auth", "--peer-trusted-ca-file=" + file("ca.crt"),
		"--log-level=warn", "--quota-backend-bytes=8589934592",
		// Without it a fleet of API servers grows the history without end: API servers compact every 5 minutes by
		// themselves, but only revisions that they know of.
		"--auto-compaction-mode=periodic", "--auto-compaction-retention=10m", "--snapshot-count=10000",
	}
	if e.NoSync {
		args = append(args, "--unsafe-no-fsync")
	}
	return process.Spec{Name: "etcd", Path: e.Kube, Args: args, Dir: e.Folder, Env: []string{"GOGC=50"},
		Log: filepath.Join(e.Folder, "etcd.log"), PidFile: filepath.Join(e.Folder, "etcd.pid"), Grace: 5 * time.Second, Ready: e.ready}, nil
}

func (e Etcd) url() string { return fmt.Sprintf("https://127.0.0.1:%d", e.Port) }

// Access for API servers; valid after Spec.
func (e Etcd) Access() Access {
	keys := filepath.Join(e.Folder, "pki")
	return Access{URL: e.url(), CAFile: filepath.Join(keys, "ca.crt"),
		CertFile: filepath.Join(keys, "client.crt"), KeyFile: filepath.Join(keys, "client.key")}
}

func (e Etcd) ready(ctx context.Context) error {
	_, err := e.Access().call(ctx, "maintenance/status", map[string]any{})
	return err
}

// DeletePrefix removes everything below the prefix of a cluster that is gone. Its API server must have ended.
func (a Access) DeletePrefix(ctx context.Context, prefix string) error {
	if prefix == "" || prefix == "/" {
		return fmt.Errorf("cannot delete etcd prefix %q: it holds every cluster", prefix)
	}
	start := []byte(prefix + "/")
	end := bytes.Clone(start)
	end[len(end)-1]++
	if _, err := a.call(ctx, "kv/deleterange", map[string]any{
		"key": base64.StdEncoding.EncodeToString(start), "range_end": base64.StdEncoding.EncodeToString(end),
	}); err != nil {
		return fmt.Errorf("cannot delete etcd prefix %q: %w", prefix, err)
	}
	return nil
}

// Snapshot writes a copy of the whole database, as a restore drill puts it back: the bytes of etcd's own snapshot stream.
func (a Access) Snapshot(ctx context.Context, out io.Writer) error {
	response, err := a.post(ctx, "maintenance/snapshot", map[string]any{})
	if err != nil {
		return fmt.Errorf("cannot take an etcd snapshot: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	decoder := json.NewDecoder(response.Body)
	for {
		var part struct {
			Result struct {
				Blob []byte `json:"blob"`
			} `json:"result"`
			Error *struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		if err := decoder.Decode(&part); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("cannot take an etcd snapshot: %w", err)
		}
		if part.Error != nil {
			return fmt.Errorf("cannot take an etcd snapshot: %s", part.Error.Message)
		}
		if _, err := out.Write(part.Result.Blob); err != nil {
			return fmt.Errorf("cannot write an etcd snapshot: %w", err)
		}
	}
}

func (a Access) call(ctx context.Context, method string, body any) ([]byte, error) {
	response, err := a.post(ctx, method, body)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	return io.ReadAll(response.Body)
}

// post calls etcd's own JSON gateway: three calls do not justify etcd's client and its dependencies.
func (a Access) post(ctx context.Context, method string, body any) (*http.Response, error) {
	pair, err := tls.LoadX509KeyPair(a.CertFile, a.KeyFile)
	if err != nil {
		return nil, err
	}
	ca, err := readFile(a.CAFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL+"/v3/"+method, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, RootCAs: roots}}}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		defer func() { _ = response.Body.Close() }()
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1000))
		return nil, fmt.Errorf("etcd answers %s: %s", response.Status, text)
	}
	return response, nil
}
