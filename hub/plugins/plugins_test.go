package plugins_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/hub/plugins"
	"github.com/periplus-fleet/periplus/hub/plugins/state"
	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/plugins/host"
	"github.com/periplus-fleet/periplus/plugins/renderer/helm"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// TestMain serves the plugin where the host started this binary as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "plugin" {
		if err := plugins.Serve(os.Args[2], os.Args[3:]...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func start(t testing.TB, change func(*plugins.Config)) *plugins.Plugins {
	t.Helper()
	cfg := plugins.Config{Command: []string{"/proc/self/exe", "plugin"}, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg)
	}
	started, err := plugins.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started.Close)
	return started
}

func find(t testing.TB, p *plugins.Plugins, name string) renderer.Renderer {
	t.Helper()
	for _, one := range p.Renderers() {
		if one.Name() == name {
			return one
		}
	}
	t.Fatalf("there is no renderer %q", name)
	return nil
}

// chart of thirty files below web/.
func chart() fstest.MapFS {
	tree := fstest.MapFS{
		"web/Chart.yaml":  {Data: []byte("apiVersion: v2\nname: web\nversion: 1.0.0\n")},
		"web/values.yaml": {Data: []byte("replicas: 1\n")},
	}
	for i := range 28 {
		tree[fmt.Sprintf("web/templates/part%02d.yaml", i)] = &fstest.MapFile{Data: fmt.Appendf(nil,
			"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-%d\ndata:\n  replicas: {{ .Values.replicas | quote }}\n%s", i,
			strings.Repeat("  # what a chart says of itself\n", 30))}
	}
	return tree
}

func TestBuiltInRenderers(t *testing.T) {
	started := start(t, nil)
	cases := map[string]struct {
		tree    fs.FS
		request renderer.Request
		want    int
	}{
		"helm": {chart(), renderer.Request{Dir: "web", ReleaseName: "web", Namespace: "web", Values: map[string]any{"replicas": int64(2)},
			Capabilities: renderer.Capabilities{KubeVersion: "v1.36.0"}}, 28},
		"kustomize": {fstest.MapFS{"app/kustomization.yaml": {Data: []byte("namePrefix: a-\nresources: [one.yaml]\n")},
			"app/one.yaml": {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n")}}, renderer.Request{Dir: "app"}, 1},
		"manifests": {fstest.MapFS{"app/one.yaml": {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n")}}, renderer.Request{Dir: "app"}, 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.request.FS = tc.tree
			result, err := find(t, started, name).Render(t.Context(), tc.request)
			if err != nil {
				t.Fatal(err)
			}
			if len(result.Objects) != tc.want {
				t.Errorf("got %d objects, want %d", len(result.Objects), tc.want)
			}
		})
	}
	_, err := find(t, started, "helm").Render(t.Context(), renderer.Request{FS: fstest.MapFS{"web/README": {}}, Dir: "web",
		Capabilities: renderer.Capabilities{KubeVersion: "v1.36.0"}})
	var refused *renderer.Error
	if !errors.As(err, &refused) || !strings.HasPrefix(err.Error(), "renderer(helm): ") {
		t.Errorf("got %v, want a *renderer.Error of renderer(helm)", err)
	}
}

func TestWithoutACommand(t *testing.T) {
	started := start(t, func(cfg *plugins.Config) { cfg.Command = nil })
	if list := started.List(); len(list) != 0 {
		t.Errorf("processes were started: %+v", list)
	}
	for _, name := range []string{"manifests", "helm", "kustomize", "jsonnet"} {
		find(t, started, name)
	}
}

// words is the store's part that the state goes through.
type words struct{ put chan store.Word }

func (w words) PutWord(_ context.Context, word store.Word) error {
	select {
	case w.put <- word:
	default:
	}
	return nil
}

func (w words) Words(context.Context, string, string) (map[string]store.Word, error) {
	word := <-w.put
	return map[string]store.Word{word.Subject: word}, nil
}

func TestPublished(t *testing.T) {
	through := words{put: make(chan store.Word, 1)}
	started := start(t, func(cfg *plugins.Config) { cfg.Store = through })
	got, at, err := state.Published(t.Context(), through)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(started.List(), got); diff != "" {
		t.Errorf("what is read is not what was published (-want +got):\n%s", diff)
	}
	if time.Since(at) > time.Minute {
		t.Errorf("published at %s", at)
	}
}

func TestParse(t *testing.T) {
	cases := map[string]struct {
		text  string
		want  []host.Declaration
		wrong string
	}{
		"All": {text: "plugins:\n- name: env\n  type: renderer\n  path: env\n  sha256: abc\n  config: {a: 1}\n  network: true\n  read: [/etc/env]\n  memory: 256Mi\n  timeout: 30s\n  processes: 3\n",
			want: []host.Declaration{{Name: "env", Type: "renderer", Path: "env", SHA256: "abc", Config: map[string]any{"a": int64(1)}, Network: true,
				Read: []string{"/etc/env"}, Memory: 256 << 20, Timeout: 30 * time.Second, Processes: 3}}},
		"None":         {text: "plugins: []\n", want: []host.Declaration{}},
		"NoName":       {text: "plugins:\n- type: renderer\n", wrong: "plugins.yaml:2: plugins[0].name: required"},
		"UnknownField": {text: "plugins:\n- name: env\n  sha: abc\n", wrong: "plugins.yaml:3: plugins[0].sha: unknown field"},
		"LittleMemory": {text: "plugins:\n- name: env\n  memory: 1Mi\n", wrong: "plugins.yaml:3: plugins[0].memory: want an amount such as 512Mi, at least 96Mi"},
		"NoPath":       {text: "plugins:\n- name: env\n  read: [etc]\n", wrong: "plugins.yaml:3: plugins[0].read: want a list of absolute paths"},
		"NoDuration":   {text: "plugins:\n- name: env\n  timeout: 30\n", wrong: "plugins.yaml:3: plugins[0].timeout: want a duration"},
		"Syntax":       {text: "plugins: [\n", wrong: "plugins.yaml: line"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := plugins.Parse("plugins.yaml", []byte(tc.text))
			if tc.wrong != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tc.wrong) {
					t.Errorf("got error %v, want %s", err, tc.wrong)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDeclared(t *testing.T) {
	dir := t.TempDir()
	cases := map[string]struct {
		reason string
		text   string
		strict bool
		want   string
	}{
		"BuiltInName":   {"a built-in cannot be replaced", "plugins: [{name: helm, type: renderer, path: helm}]", false, `cannot declare the plugin "helm"`},
		"ManifestsName": {"nor what runs in the hub", "plugins: [{name: manifests, type: renderer, path: m}]", false, `cannot declare the plugin "manifests"`},
		"Missing":       {"strictness wants all to run", "plugins: [{name: env, type: renderer, path: env, sha256: '" + strings.Repeat("0", 64) + "'}]", true, "renderer(env): cannot read its program"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, name+".yaml")
			if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := plugins.Start(t.Context(), plugins.Config{Command: []string{"/proc/self/exe", "plugin"}, File: file, Dir: dir, Strict: tc.strict,
				Log: slog.New(slog.DiscardHandler)})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: got error %v, want %s", tc.reason, err, tc.want)
			}
		})
	}
	file := filepath.Join(dir, "limits.yaml")
	if err := os.WriteFile(file, []byte("plugins: [{name: helm, processes: 1}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, status := range start(t, func(cfg *plugins.Config) { cfg.File = file }).List() {
		if status.Name == "helm" && status.Limit != 1 {
			t.Errorf("the limit of a built-in plugin is not changed: %+v", status)
		}
	}
}

// BenchmarkCall measures what the process boundary costs, with a chart that both sides know and with one that is new.
func BenchmarkCall(b *testing.B) {
	started := start(b, nil)
	request := renderer.Request{FS: chart(), Dir: "web", ReleaseName: "web", Namespace: "web", Capabilities: renderer.Capabilities{KubeVersion: "v1.36.0"}}
	for name, one := range map[string]renderer.Renderer{"InProcess": helm.New(), "Plugin": find(b, started, "helm")} {
		for _, known := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/Known=%v", name, known), func(b *testing.B) {
				for i := 0; b.Loop(); i++ {
					request.ContentID, request.Values = "same", map[string]any{"replicas": int64(i)}
					if !known {
						request.ContentID = fmt.Sprintf("new%s%d", name, i)
					}
					if _, err := one.Render(b.Context(), request); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
