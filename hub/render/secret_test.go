package render_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
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

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/gate"
	"github.com/periplus-fleet/periplus/hub/render"
	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/hub/store/storetest"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/plugins/sdk/decrypter"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
	"github.com/periplus-fleet/periplus/policies/engine"
)

const planted = "planted-plaintext-hunter2"

// files in memory.
type files struct{ fstest.MapFS }

func (files) Commit() string { return strings.Repeat("c", 40) }

func (f files) Hash(name string) (string, error) {
	hash := sha1.New()
	err := fs.WalkDir(f.MapFS, name, func(file string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			_, _ = fmt.Fprintf(hash, "%s %s\n", file, f.MapFS[file].Data)
		}
		return err
	})
	return hex.EncodeToString(hash.Sum(nil)), err
}

func tree(texts map[string]string) files {
	out := files{fstest.MapFS{}}
	for name, text := range texts {
		out.MapFS[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return out
}

// swapper stands for SOPS: what it opens looks encrypted, and holds the plaintext in base64.
type swapper struct{ refuse error }

func (swapper) Name() string    { return "swapper" }
func (swapper) Version() string { return "1" }

func (s swapper) Decrypt(_ context.Context, request decrypter.Request) ([]byte, error) {
	_, text, _ := strings.Cut(string(request.Data), "ENC[AES256_GCM,")
	text, _, _ = strings.Cut(text, "]")
	plain, err := base64.StdEncoding.DecodeString(text)
	return plain, errors.Join(err, s.refuse)
}

func sealed(text string) string {
	return "all: ENC[AES256_GCM," + base64.StdEncoding.EncodeToString([]byte(text)) + "]\nsops:\n  mac: x\n"
}

func secretInput(values string) render.Input {
	return render.Input{Tree: tree(map[string]string{
		"bundles/app/chart/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
		"bundles/app/chart/templates/all.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {url: {{ .Values.url | quote }}}\n" +
			"---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {url: {{ .Values.url | b64enc }}}\n" +
			"{{ if .Values.broken }}{{ fail (printf \"cannot parse %q\" .Values.url) }}{{ end }}\n",
		"bundles/app/chart/values.schema.json": `{"properties":{"url":{"type":"string","maxLength":40}}}`,
		"bundles/app/secrets.yaml":             sealed(values),
	}), Bundle: fleet.BundleDecl{Key: "fleet/app", Path: "bundles/app", File: "bundles/app/bundle.yaml", Line: 1,
		Spec: v1alpha1.BundleSpec{Decrypt: v1alpha1.DecryptHub}},
		Inputs: target.Inputs{Source: &v1alpha1.BundleSource{Helm: &v1alpha1.HelmSource{Chart: "chart", ValuesFiles: []string{"secrets.yaml"}}}}}
}

// TestNoPlaintextAnywhere takes a secret revision through render, store and gate, and looks for its plaintext in everything
// that is written and said.
func TestNoPlaintextAnywhere(t *testing.T) {
	temporary, folder, data := t.TempDir(), t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temporary)
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	db := storetest.Open(t, store.Config{URL: "sqlite://" + filepath.Join(data, "hub.db"), Log: logger})
	r, err := render.New(render.Config{SecretKey: storetest.Key, Folder: folder, Decrypter: swapper{}, Generated: db, Log: logger})
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	variant, err := r.Render(t.Context(), secretInput("url: "+planted+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(variant.Blobs[variant.Manifest.Items[0].Digest], []byte(planted)) {
		t.Fatal("the values file was not opened: the test proves nothing")
	}
	for _, item := range variant.Manifest.Items {
		if !item.Digest.Secret() {
			t.Errorf("%s is named by a plain hash, which lets others guess it", item.ObjectID)
		}
	}
	revision, err := db.PutRevision(t.Context(), variant.Manifest, variant.Blobs)
	if err != nil {
		t.Fatal(err)
	}

	// What a policy says goes into conditions, results and history.
	policy := "# METADATA\n# custom:\n#   input: periplus\n#   kinds: [ConfigMap, Secret]\npackage p\n\ndeny contains sprintf(\"%v\", [input.object])\n"
	snapshot, refusals := engine.Load(engine.Source{Modules: []engine.File{{Path: "policies/p.rego", Text: policy}}}, nil)
	if len(refusals) > 0 {
		t.Fatal(refusals)
	}
	verdict, err := gate.New(gate.Config{}).Check(t.Context(), gate.Request{Snapshot: snapshot, Bundle: "fleet/app", Manifest: variant.Manifest,
		Cluster: engine.Cluster{Name: "a"}, Load: func(context.Context, []content.Digest) (map[content.Digest][]byte, error) {
			out := map[content.Digest][]byte{}
			for digest := range variant.Blobs {
				out[digest] = variant.Judged(digest)
			}
			return out, nil
		}})
	if err != nil || !verdict.Denied {
		t.Fatal(verdict, err)
	}
	_, _ = fmt.Fprintln(&said, verdict.Reason, verdict.Results)
	if err := put(t, db, delivery.Bundle{Key: "fleet/app", Repo: "fleet/r", Spec: []byte("{}"), Frozen: verdict.Reason}); err != nil {
		t.Fatal(err)
	}

	// Renderers quote values as they like.
	patched := secretInput("url: " + planted + "\n")
	patched.Inputs.Patches = []v1alpha1.Patch{{Target: &v1alpha1.ObjectMatch{Kind: "ConfigMap"}, Patch: `[{op: test, path: /data/url, value: other}]`}}
	valued := secretInput("other: x\n")
	valued.Secret, valued.Bundle.Spec.Decrypt = true, ""
	valued.Inputs.Source.Helm.ValuesFiles, valued.Inputs.Values = nil, map[string]any{"url": planted, "broken": true}
	for name, in := range map[string]render.Input{
		"fail": secretInput("url: " + planted + "\nbroken: true\n"), "schema": secretInput("url: " + planted + strings.Repeat("x", 40) + "\n"),
		"yaml": secretInput("url: [" + planted + "\n"), "type": secretInput("url: [{a: " + planted + "}]\n"), "patch": patched, "values": valued,
	} {
		_, err := r.Render(t.Context(), in)
		if err == nil {
			t.Errorf("%s: want a mistake", name)
			continue
		}
		_, _ = fmt.Fprintln(&said, err)
		at := new(renderer.Error)
		if !errors.As(err, &at) || at.File == "" {
			t.Errorf("%s: want the file that is at fault, got %v", name, err)
		}
	}
	manifest, err := db.Revision(t.Context(), revision)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	said.Write(answer)
	_, _ = said.Write(log.Bytes())
	expectNone(t, "what was said and logged", said.Bytes())
	for _, folder := range []string{temporary, folder, data} {
		expectNoneBelow(t, folder)
	}
	if _, entries := sizeBelow(t, folder); entries < 3 {
		t.Errorf("the cache holds %d files: the test proves nothing", entries)
	}
}

func put(t *testing.T, db *store.Store, bundle delivery.Bundle) error {
	t.Helper()
	term, _, err := db.Lead(t.Context(), "one", time.Hour)
	if err != nil {
		return err
	}
	return db.PutBundles(t.Context(), term, []delivery.Bundle{bundle})
}

func expectNone(t *testing.T, where string, data []byte) {
	t.Helper()
	for _, form := range []string{planted, base64.StdEncoding.EncodeToString([]byte(planted))[:32], "hunter2"} {
		if at := bytes.Index(data, []byte(form)); at >= 0 {
			t.Errorf("%s hold the plaintext: ...%s", where, data[max(0, at-60):min(len(data), at+60)])
		}
	}
}

func expectNoneBelow(t *testing.T, folder string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		expectNone(t, path, data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func sizeBelow(t *testing.T, folder string) (bytes int64, files int) {
	t.Helper()
	err := filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		files++
		bytes += info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes, files
}

func TestDecryptMistakes(t *testing.T) {
	cases := map[string]struct {
		reason    string
		decrypter decrypter.Decrypter
		file      string
		says      string
	}{
		"NoDecrypter": {reason: "a hub that cannot is named where it was asked", file: "bundles/app/bundle.yaml", says: "no decrypter"},
		"NoKey": {reason: "why a file was not opened is no secret", decrypter: swapper{errors.New("no key fits")}, file: "bundles/app/secrets.yaml",
			says: "no key fits"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r, err := render.New(render.Config{SecretKey: []byte("key"), Decrypter: tc.decrypter})
			if err != nil {
				t.Fatal(err)
			}
			_, err = r.Render(t.Context(), secretInput("url: x\n"))
			at := new(renderer.Error)
			if !errors.As(err, &at) || at.File != tc.file || !strings.Contains(at.Message, tc.says) {
				t.Errorf("%s: got %v", tc.reason, err)
			}
		})
	}
}
