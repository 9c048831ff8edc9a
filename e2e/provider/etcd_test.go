package provider

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"strconv"
)

// keys counts what etcd holds below the prefix.
func (w *world) keys(prefix string) int {
	w.t.Helper()
	pair, err := tls.LoadX509KeyPair(w.etcd.CertFile, w.etcd.KeyFile)
	if err != nil {
		w.t.Fatal(err)
	}
	ca, err := os.ReadFile(w.etcd.CAFile)
	if err != nil {
		w.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	end := []byte(prefix)
	end[len(end)-1]++
	body, err := json.Marshal(map[string]any{"key": base64.StdEncoding.EncodeToString([]byte(prefix)),
		"range_end": base64.StdEncoding.EncodeToString(end), "count_only": true})
	if err != nil {
		w.t.Fatal(err)
	}
	caller := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, RootCAs: roots}}}
	response, err := caller.Post(w.etcd.URL+"/v3/kv/range", "application/json", bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		Count string `json:"count"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		w.t.Fatal(err)
	}
	if answer.Count == "" {
		return 0
	}
	count, err := strconv.Atoi(answer.Count)
	if err != nil {
		w.t.Fatal(err)
	}
	return count
}
