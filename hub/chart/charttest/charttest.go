// Package charttest has charts and servers of charts for tests: a classic repository and an OCI registry, in this process
// and over real connections.
package charttest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Package makes a packaged chart of its files, below a folder of its name.
func Package(t testing.TB, name string, files map[string]string) []byte {
	t.Helper()
	var names []string
	for file := range files {
		names = append(names, file)
	}
	slices.Sort(names)
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	for _, file := range names {
		header := &tar.Header{Name: name + "/" + file, Mode: 0o644, Size: int64(len(files[file]))}
		if err := archive.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(files[file])); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Simple is a packaged chart with one ConfigMap.
func Simple(t testing.TB, name, version string) []byte {
	t.Helper()
	return Package(t, name, map[string]string{
		"Chart.yaml":          fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %s\n", name, version),
		"templates/some.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}-{{ .Chart.Name }}}\ndata: {version: {{ .Chart.Version | quote }}}\n",
	})
}

// Sum is the digest of data, in hex.
func Sum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Server is a repository and a registry. Its fields may change while it runs, under its lock.
type Server struct {
	sync.Mutex
	// Files by path are those of a classic repository.
	Files map[string][]byte
	// Redirects by path.
	Redirects map[string]string
	// Username and Password, or Token, that are asked for; "" asks for none.
	Username, Password, Token string
	// Down answers 503 to everything.
	Down bool
	// Requests that came, as "GET /path", and the Authorization of each.
	Requests       []string
	Authorizations []string

	blobs map[string][]byte
	tags  map[string]map[string][]byte
}

// Chart adds a version of a chart to the classic repository at /charts.
func (s *Server) Chart(name, version string, data []byte) {
	s.Lock()
	defer s.Unlock()
	if s.Files == nil {
		s.Files = map[string][]byte{}
	}
	file := name + "-" + version + ".tgz"
	s.Files["/charts/"+file] = data
	var index struct {
		Entries map[string][]map[string]any `json:"entries"`
	}
	if old, ok := s.Files["/charts/index.yaml"]; ok {
		_ = json.Unmarshal(old, &index)
	}
	if index.Entries == nil {
		index.Entries = map[string][]map[string]any{}
	}
	index.Entries[name] = append(index.Entries[name], map[string]any{"version": version, "urls": []string{file}, "digest": Sum(data)})
	s.Files["/charts/index.yaml"], _ = json.Marshal(index)
}

// Push adds a version of a chart to the registry.
func (s *Server) Push(repository, tag string, data []byte) {
	s.Lock()
	defer s.Unlock()
	if s.tags == nil {
		s.tags, s.blobs = map[string]map[string][]byte{}, map[string][]byte{}
	}
	if s.tags[repository] == nil {
		s.tags[repository] = map[string][]byte{}
	}
	config := []byte("{}")
	manifest, _ := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": manifestType,
		"config": map[string]any{"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": "sha256:" + Sum(config), "size": len(config)},
		"layers": []any{map[string]any{"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "digest": "sha256:" + Sum(data), "size": len(data)}}})
	for _, blob := range [][]byte{config, data, manifest} {
		s.blobs["sha256:"+Sum(blob)] = blob
	}
	s.tags[repository][tag] = manifest
}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// Count of requests that came since the last call.
func (s *Server) Count() int {
	s.Lock()
	defer s.Unlock()
	count := len(s.Requests)
	s.Requests, s.Authorizations = nil, nil
	return count
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.Lock()
	defer s.Unlock()
	s.Requests = append(s.Requests, r.Method+" "+r.URL.Path)
	s.Authorizations = append(s.Authorizations, r.Header.Get("Authorization"))
	registry := strings.HasPrefix(r.URL.Path, "/v2/")
	switch {
	case s.Down:
		http.Error(w, "away", http.StatusServiceUnavailable)
	case r.URL.Path == "/token":
		s.token(w, r)
	case !s.allowed(r, registry):
		if registry {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer realm=%q,service=\"test\"", "http://"+r.Host+"/token"))
		}
		http.Error(w, "who are you", http.StatusUnauthorized)
	case s.Redirects[r.URL.Path] != "":
		http.Redirect(w, r, s.Redirects[r.URL.Path], http.StatusFound)
	case registry:
		s.registry(w, r)
	default:
		answer(w, r, s.Files[r.URL.Path], "application/octet-stream")
	}
}

const issued = "issued-token"

func (s *Server) allowed(r *http.Request, registry bool) bool {
	username, password, basic := r.BasicAuth()
	switch {
	case s.Username != "" && registry:
		return r.Header.Get("Authorization") == "Bearer "+issued
	case s.Username != "":
		return basic && username == s.Username && password == s.Password
	case s.Token != "":
		return r.Header.Get("Authorization") == "Bearer "+s.Token
	default:
		return true
	}
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	if username, password, ok := r.BasicAuth(); !ok || username != s.Username || password != s.Password {
		http.Error(w, "who are you", http.StatusUnauthorized)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"token": issued})
}

func (s *Server) registry(w http.ResponseWriter, r *http.Request) {
	rest := strings.TrimPrefix(r.URL.Path, "/v2/")
	if repository, ok := strings.CutSuffix(rest, "/tags/list"); ok {
		var tags []string
		for tag := range s.tags[repository] {
			tags = append(tags, tag)
		}
		slices.Sort(tags)
		data, _ := json.Marshal(map[string]any{"name": repository, "tags": tags})
		answer(w, r, data, "application/json")
		return
	}
	if repository, reference, ok := strings.Cut(rest, "/manifests/"); ok {
		data := s.tags[repository][reference]
		if strings.HasPrefix(reference, "sha256:") {
			data = s.blobs[reference]
		}
		answer(w, r, data, manifestType)
		return
	}
	_, digest, _ := strings.Cut(rest, "/blobs/")
	answer(w, r, s.blobs[digest], "application/octet-stream")
}

func answer(w http.ResponseWriter, r *http.Request, data []byte, kind string) {
	if data == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", fmt.Sprint(len(data)))
	w.Header().Set("Docker-Content-Digest", "sha256:"+Sum(data))
	if r.Method != http.MethodHead {
		_, _ = w.Write(data)
	}
}
