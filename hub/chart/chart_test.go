package chart_test

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/chart"
	"github.com/periplus-fleet/periplus/hub/chart/charttest"
	"github.com/periplus-fleet/periplus/hub/chart/record"
	"github.com/periplus-fleet/periplus/hub/fleet"
)

// tree of a repository.
type tree struct{ fstest.MapFS }

func (t tree) Hash(name string) (string, error) {
	all := ""
	err := fs.WalkDir(t, name, func(file string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			all += file + string(t.MapFS[file].Data)
		}
		return err
	})
	return charttest.Sum([]byte(all)), err
}

func (t tree) Commit() string { return "c1" }

// world has a server of charts and a hub that uses it.
type world struct {
	*testing.T
	server  *charttest.Server
	http    *httptest.Server
	records *record.Memory
	dir     string
	clock   *atomic.Int64
	charts  *chart.Charts
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, server: &charttest.Server{}, records: &record.Memory{}, dir: t.TempDir(), clock: &atomic.Int64{}}
	w.clock.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMicro())
	w.http = httptest.NewServer(w.server)
	t.Cleanup(w.http.Close)
	w.restart()
	return w
}

func (w *world) now() time.Time { return time.UnixMicro(w.clock.Load()).UTC() }

func (w *world) pass(d time.Duration) { w.clock.Add(d.Microseconds()) }

// restart is another life of the hub process.
func (w *world) restart() {
	w.Helper()
	var err error
	if w.charts, err = chart.New(chart.Config{Dir: w.dir, Records: w.records, Wait: time.Minute, Now: w.now}); err != nil {
		w.Fatal(err)
	}
}

func (w *world) repository() string { return w.http.URL + "/charts" }

func (w *world) oci(name string) string {
	return "oci://" + strings.TrimPrefix(w.http.URL, "http://") + "/team/" + name
}

func bundle(content string) fleet.BundleDecl {
	return fleet.BundleDecl{Key: "fleet/shop", Path: "bundles/shop", TreeHash: content, Tree: tree{fstest.MapFS{"bundles/shop/bundle.yaml": {}}}}
}

// version that a source means to a bundle's content.
func (w *world) version(content string, source v1alpha1.HelmSource, auth chart.Auth) (string, error) {
	w.Helper()
	files, id, version, err := w.charts.ForBundle(w.Context(), bundle(content), &source, auth)
	if err != nil {
		return "", err
	}
	data, err := fs.ReadFile(files, "Chart.yaml")
	if err != nil || id == "" || !strings.Contains(string(data), "version: "+version+"\n") {
		w.Errorf("the files of version %q (id %q) are %q, %v", version, id, data, err)
	}
	if err := fstest.TestFS(files, "Chart.yaml", "templates/some.yaml"); err != nil {
		w.Error(err)
	}
	return version, nil
}

func (w *world) fill() {
	for _, version := range []string{"1.0.0", "1.4.0", "2.0.0", "2.1.0-rc.1", "1.5.0+build.7"} {
		w.server.Chart("app", version, charttest.Simple(w, "app", version))
		w.server.Push("team/app", strings.ReplaceAll(version, "+", "_"), charttest.Simple(w, "app", version))
	}
}

func TestVersions(t *testing.T) {
	cases := map[string]struct{ reason, asked, want, refused string }{
		"Newest":     {reason: "without a version the newest that is no pre-release", want: "2.0.0"},
		"Exact":      {reason: "a version is itself", asked: "1.0.0", want: "1.0.0"},
		"Range":      {reason: "the newest of a range, with what is built of it", asked: "1.x", want: "1.5.0+build.7"},
		"Tilde":      {reason: "the newest of a range", asked: "~1.4", want: "1.4.0"},
		"PreRelease": {reason: "a pre-release only where the range names one", asked: ">2.0.0-0", want: "2.1.0-rc.1"},
		"None":       {reason: "it says what there is", asked: ">=3", refused: `no version matches ">=3"; the newest are 2.1.0-rc.1, 2.0.0, 1.5.0+build.7: change source.helm.version`},
		"NoRange":    {reason: "it says what is wrong", asked: "latest!", refused: `source.helm.version "latest!" is no version and no range`},
	}
	w := newWorld(t)
	w.fill()
	for name, tc := range cases {
		for kind, source := range map[string]v1alpha1.HelmSource{"classic": {Repository: w.repository(), Name: "app", Version: tc.asked}, "oci": {OCI: w.oci("app"), Version: tc.asked}} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				w := *w
				w.T = t
				got, err := w.version("one", source, chart.Auth{})
				if tc.refused != "" {
					if err == nil || !strings.Contains(err.Error(), tc.refused) {
						t.Errorf("%s: got %v, want %q", tc.reason, err, tc.refused)
					}
					return
				}
				if err != nil || got != tc.want {
					t.Errorf("%s: got %q, %v, want %q", tc.reason, got, err, tc.want)
				}
			})
		}
	}
}

func TestResolvedOnce(t *testing.T) {
	for _, kind := range []string{"classic", "oci"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t)
			w.fill()
			source := v1alpha1.HelmSource{Repository: w.repository(), Name: "app", Version: "2.x"}
			if kind == "oci" {
				source = v1alpha1.HelmSource{OCI: w.oci("app"), Version: "2.x"}
			}
			expect := func(reason, content, want string, asks bool) {
				t.Helper()
				w.server.Count()
				got, err := w.version(content, source, chart.Auth{})
				if err != nil || got != want {
					t.Errorf("%s: got %q, %v, want %q", reason, got, err, want)
				}
				if count := w.server.Count(); (count > 0) != asks {
					t.Errorf("%s: %d requests", reason, count)
				}
			}
			expect("the first time", "one", "2.0.0", true)
			w.server.Chart("app", "2.2.0", charttest.Simple(t, "app", "2.2.0"))
			w.server.Push("team/app", "2.2.0", charttest.Simple(t, "app", "2.2.0"))
			w.pass(time.Hour)
			expect("again", "one", "2.0.0", false)
			w.restart()
			expect("after a restart", "one", "2.0.0", false)
			w.restart()
			w.dir = t.TempDir()
			w.restart()
			expect("on another machine", "one", "2.0.0", true)
			expect("for a new content of the bundle", "two", "2.2.0", true)

			// What is kept is broken, and healed.
			kept, err := filepath.Glob(filepath.Join(w.dir, "*.tgz"))
			if err != nil || len(kept) != 2 {
				t.Fatal(kept, err)
			}
			for _, file := range kept {
				if err := os.WriteFile(file, []byte("broken"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			w.restart()
			expect("with a broken package", "one", "2.0.0", true)

			// The repository gives another package under the recorded version.
			w.dir = t.TempDir()
			w.restart()
			w.server.Lock()
			w.server.Files["/charts/app-2.0.0.tgz"] = charttest.Simple(t, "app", "6.6.6")
			w.server.Unlock()
			if got, err := w.version("one", source, chart.Auth{}); kind == "classic" && (err == nil || !strings.Contains(err.Error(), "which was recorded for this bundle")) {
				t.Errorf("another package under a recorded version is not taken: got %q, %v", got, err)
			}
		})
	}
}

func TestCredentials(t *testing.T) {
	cases := map[string]struct {
		reason  string
		set     func(*charttest.Server)
		auth    chart.Auth
		oci     bool
		refused string
	}{
		"Basic":      {reason: "username and password", set: func(s *charttest.Server) { s.Username, s.Password = "me", "hunter2" }, auth: chart.Auth{Username: "me", Password: "hunter2"}},
		"BasicOCI":   {reason: "are exchanged for a token", set: func(s *charttest.Server) { s.Username, s.Password = "me", "hunter2" }, auth: chart.Auth{Username: "me", Password: "hunter2"}, oci: true},
		"Token":      {reason: "a token is sent as it is", set: func(s *charttest.Server) { s.Token = "hunter2" }, auth: chart.Auth{Token: "hunter2"}},
		"Wrong":      {reason: "it says what to look at", set: func(s *charttest.Server) { s.Username, s.Password = "me", "other" }, auth: chart.Auth{Username: "me", Password: "hunter2"}, refused: "401 Unauthorized: check the Secret"},
		"WrongOCI":   {reason: "it says what to look at", set: func(s *charttest.Server) { s.Username, s.Password = "me", "other" }, auth: chart.Auth{Username: "me", Password: "hunter2"}, oci: true, refused: "401 Unauthorized: check the Secret"},
		"Missing":    {reason: "it says what to look at", set: func(s *charttest.Server) { s.Username, s.Password = "me", "hunter2" }, refused: "401 Unauthorized: check the Secret"},
		"MissingOCI": {reason: "it says what to look at", set: func(s *charttest.Server) { s.Username, s.Password = "me", "hunter2" }, oci: true, refused: "check the Secret"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.fill()
			tc.set(w.server)
			source := v1alpha1.HelmSource{Repository: w.repository(), Name: "app", Version: "1.0.0"}
			if tc.oci {
				source = v1alpha1.HelmSource{OCI: w.oci("app"), Version: "1.0.0"}
			}
			_, err := w.version("one", source, tc.auth)
			if tc.refused == "" && err != nil || tc.refused != "" && (err == nil || !strings.Contains(err.Error(), tc.refused)) {
				t.Errorf("%s: got %v, want %q", tc.reason, err, tc.refused)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q shows the password", err)
			}
		})
	}
}

func TestCredentialsStayAtHome(t *testing.T) {
	w := newWorld(t)
	w.fill()
	w.server.Username, w.server.Password = "me", "hunter2"
	foreign := &charttest.Server{Files: map[string][]byte{"/elsewhere.tgz": charttest.Simple(t, "app", "1.0.0")}}
	away := httptest.NewServer(foreign)
	t.Cleanup(away.Close)
	auth := chart.Auth{Username: "me", Password: "hunter2"}
	source := v1alpha1.HelmSource{Repository: w.repository(), Name: "app", Version: "1.0.0"}

	w.server.Redirects = map[string]string{"/charts/app-1.0.0.tgz": away.URL + "/elsewhere.tgz"}
	if got, err := w.version("redirect", source, auth); err != nil || got != "1.0.0" {
		t.Errorf("a redirect is followed: got %q, %v", got, err)
	}
	w.server.Redirects = nil
	w.pass(time.Hour)
	w.server.Files["/charts/index.yaml"] = fmt.Appendf(nil, "entries: {app: [{version: 1.0.0, urls: [%q]}]}", away.URL+"/elsewhere.tgz")
	w.dir = t.TempDir()
	w.restart()
	if got, err := w.version("absolute", source, auth); err != nil || got != "1.0.0" {
		t.Errorf("an absolute URL is followed: got %q, %v", got, err)
	}
	for i, sent := range foreign.Authorizations {
		if sent != "" {
			t.Errorf("%s went to another host with %q", foreign.Requests[i], sent)
		}
	}
	if len(foreign.Requests) != 2 {
		t.Errorf("both ways lead to the other host: got %v", foreign.Requests)
	}
}

func TestTLS(t *testing.T) {
	w := newWorld(t)
	w.fill()
	secure := httptest.NewUnstartedServer(w.server)
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	source := v1alpha1.HelmSource{Repository: secure.URL + "/charts", Name: "app", Version: "1.0.0"}
	oci := v1alpha1.HelmSource{OCI: "oci://" + strings.TrimPrefix(secure.URL, "https://") + "/team/app", Version: "1.0.0"}
	if _, err := w.version("one", source, chart.Auth{}); err == nil || !strings.Contains(err.Error(), "put the certificate of its authority into ca.crt") {
		t.Errorf("an unknown authority is refused, and it says what to do: got %v", err)
	}
	for name, one := range map[string]v1alpha1.HelmSource{"classic": source, "oci": oci} {
		if got, err := w.version("two", one, chart.Auth{CA: ca}); err != nil || got != "1.0.0" {
			t.Errorf("%s: ca.crt vouches for the server: got %q, %v", name, got, err)
		}
	}
	w.server.Redirects = map[string]string{"/charts/app-1.4.0.tgz": w.http.URL + "/charts/app-1.0.0.tgz"}
	source.Version = "1.4.0"
	if _, err := w.version("three", source, chart.Auth{CA: ca}); err == nil || !strings.Contains(err.Error(), "which has no TLS") {
		t.Errorf("a way out of TLS is not taken: got %v", err)
	}
}

func TestOutage(t *testing.T) {
	w := newWorld(t)
	w.fill()
	source := v1alpha1.HelmSource{Repository: w.repository(), Name: "app", Version: "1.x"}
	w.server.Down = true
	_, err := w.version("one", source, chart.Auth{})
	var unavailable *chart.Unavailable
	if !errors.As(err, &unavailable) || !unavailable.Again.Equal(w.now().Add(10*time.Second)) {
		t.Fatalf("an outage says when it is tried again: got %v", err)
	}
	w.server.Down = false
	w.server.Count()
	if _, err := w.version("one", source, chart.Auth{}); err == nil || w.server.Count() != 0 {
		t.Errorf("before that nobody is asked: got %v", err)
	}
	w.pass(unavailable.Again.Sub(w.now()))
	if got, err := w.version("one", source, chart.Auth{}); err != nil || got != "1.5.0+build.7" {
		t.Errorf("then it is: got %q, %v", got, err)
	}
}

func TestAHostThatHangs(t *testing.T) {
	w := newWorld(t)
	w.fill()
	goOn := make(chan struct{})
	slow := newServer(t, http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		<-goOn
		w.server.ServeHTTP(out, r)
	}))
	var err error
	if w.charts, err = chart.New(chart.Config{Dir: w.dir, Records: w.records, Wait: 50 * time.Millisecond, Now: w.now}); err != nil {
		t.Fatal(err)
	}
	source := v1alpha1.HelmSource{Repository: slow + "/charts", Name: "app", Version: "1.x"}
	for range 100 {
		// Only the first one waits.
		_, err := w.version("one", source, chart.Auth{})
		var unavailable *chart.Unavailable
		if !errors.As(err, &unavailable) || !strings.Contains(err.Error(), "being fetched") {
			t.Fatalf("nobody waits for a host that hangs: got %v", err)
		}
	}
	close(goOn)
	deadline := time.Now().Add(30 * time.Second)
	for {
		w.pass(time.Second)
		got, err := w.version("one", source, chart.Auth{})
		if err == nil && got == "1.5.0+build.7" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("once it answers the chart is there: got %q, %v", got, err)
		}
	}
}

func TestAnIndexServesManyBundles(t *testing.T) {
	w := newWorld(t)
	w.fill()
	for i := range 5 {
		if _, err := w.version(fmt.Sprint("content ", i), v1alpha1.HelmSource{Repository: w.repository(), Name: "app", Version: "1.x"}, chart.Auth{}); err != nil {
			t.Fatal(err)
		}
	}
	if count := w.server.Count(); count != 2 {
		t.Errorf("one index and one package are fetched, not %d files", count)
	}
}

func TestMistakes(t *testing.T) {
	cases := map[string]struct {
		reason string
		source v1alpha1.HelmSource
		want   string
	}{
		"NoName":      {reason: "a repository holds many charts", source: v1alpha1.HelmSource{Repository: "https://charts.example.com"}, want: "source.helm.name is missing"},
		"Both":        {reason: "one of them", source: v1alpha1.HelmSource{Repository: "https://charts.example.com", OCI: "oci://example.com/app"}, want: "give one of them"},
		"Scheme":      {reason: "nothing but HTTP", source: v1alpha1.HelmSource{Repository: "file:///etc", Name: "app"}, want: "is no http or https URL"},
		"Credentials": {reason: "they would stand in Git", source: v1alpha1.HelmSource{Repository: "https://me:hunter2@charts.example.com", Name: "app"}, want: "put them into a Secret"},
		"Tag":         {reason: "a version has its own field", source: v1alpha1.HelmSource{OCI: "oci://example.com/app:1.0.0"}, want: "give it as source.helm.version"},
		"NoOCI":       {reason: "a reference begins so", source: v1alpha1.HelmSource{OCI: "example.com/app"}, want: "does not begin with oci://"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := newWorld(t).version("one", tc.source, chart.Auth{}); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: got %v, want %q", tc.reason, err, tc.want)
			}
		})
	}
	w := newWorld(t)
	w.fill()
	w.server.Files["/charts/app-1.0.0.tgz"] = []byte("<html>")
	w.server.Files["/charts/index.yaml"] = []byte("entries: {app: [{version: 1.0.0, urls: [app-1.0.0.tgz]}]}")
	if _, err := w.version("one", v1alpha1.HelmSource{Repository: w.repository(), Name: "app"}, chart.Auth{}); err == nil || !strings.Contains(err.Error(), "it is no packaged chart") {
		t.Errorf("what is no chart is refused: got %v", err)
	}
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other+".tgz", []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.pass(time.Hour)
	leads, err := filepath.Rel(w.dir, other)
	if err != nil {
		t.Fatal(err)
	}
	w.server.Files["/charts/index.yaml"] = fmt.Appendf(nil, "entries: {app: [{version: 1.0.0, urls: [app-1.0.0.tgz], digest: %q}]}", leads)
	if _, err := w.version("two", v1alpha1.HelmSource{Repository: w.repository(), Name: "app"}, chart.Auth{}); err == nil || !strings.Contains(err.Error(), "no sha256 digest") {
		t.Errorf("an index cannot lead out of the cache: got %v", err)
	}
	if _, err := os.Stat(other + ".tgz"); err != nil {
		t.Errorf("an index cannot remove files: %v", err)
	}
	if _, err := w.version("one", v1alpha1.HelmSource{Repository: w.repository(), Name: "other"}, chart.Auth{}); err == nil || !strings.Contains(err.Error(), "it has no chart of this name") {
		t.Errorf("it says what is missing: got %v", err)
	}
}

func TestAuthFrom(t *testing.T) {
	cases := map[string]struct {
		reason  string
		data    map[string]string
		want    chart.Auth
		refused string
	}{
		"Basic":      {reason: "as they are called", data: map[string]string{"username": "me", "password": "x", "ca.crt": "pem"}, want: chart.Auth{Username: "me", Password: "x", CA: []byte("pem")}},
		"Both":       {reason: "one way only", data: map[string]string{"username": "me", "token": "x"}, refused: "username and token"},
		"NoUsername": {reason: "a mistake", data: map[string]string{"password": "x"}, refused: "no username"},
		"Nothing":    {reason: "keys of another kind are a mistake", data: map[string]string{"user": "x"}, refused: "none of the keys"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			data := map[string][]byte{}
			for key, value := range tc.data {
				data[key] = []byte(value)
			}
			got, err := chart.AuthFrom(data)
			if tc.refused != "" && (err == nil || !strings.Contains(err.Error(), tc.refused)) || tc.refused == "" && err != nil {
				t.Errorf("%s: got %v, want %q", tc.reason, err, tc.refused)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestCacheIsBounded(t *testing.T) {
	w := newWorld(t)
	w.fill()
	var err error
	if w.charts, err = chart.New(chart.Config{Dir: w.dir, Records: w.records, CacheBytes: 1000, Now: func() time.Time { w.pass(time.Second); return w.now() }}); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"1.0.0", "1.4.0", "2.0.0", "2.1.0-rc.1", "1.5.0+build.7"} {
		if _, err := w.version("one", v1alpha1.HelmSource{Repository: w.repository(), Name: "app", Version: version}, chart.Auth{}); err != nil {
			t.Fatal(err)
		}
	}
	total := int64(0)
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		about, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		total += about.Size()
	}
	if total > 1000 || len(entries) == 0 {
		t.Errorf("%d packages take %d bytes, 1000 are allowed", len(entries), total)
	}
}

func newServer(t *testing.T, handler http.Handler) string {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}
