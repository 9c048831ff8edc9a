// Package render_test holds what the hub renders against what the tools render whose files it reads: the upstream binaries,
// built from their Go modules, are the oracle.
package render_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/plugins/renderer/kustomize"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// kustomizeBinary builds upstream's kustomize once.
func kustomizeBinary(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds upstream's kustomize")
	}
	build := exec.Command("sh", "../tools/build.sh", "kustomize")
	build.Stderr = os.Stderr
	folder, err := build.Output()
	if err != nil {
		t.Skipf("cannot build upstream's kustomize: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(folder)), "kustomize")
}

// tally of a comparison, printed as one line.
type tally struct {
	Same, Refused, Differs int
	// Skipped by reason.
	Skipped map[string]int
}

// refusals are what Periplus does not do, by what its message says.
var refusals = map[string]*regexp.Regexp{
	"helm":      regexp.MustCompile(`run helm`),
	"remote":    regexp.MustCompile(`remote (bases|files) are not supported`),
	"key twice": regexp.MustCompile(`stands twice`),
	"program":   regexp.MustCompile(`would run a program|external plugins disabled`),
}

// onDisk are files with the folder that has a copy of them, inside which upstream builds.
type onDisk struct {
	fs.FS
	folder string
}

func copied(t *testing.T, files fs.FS) onDisk {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, files); err != nil {
		t.Fatal(err)
	}
	return onDisk{files, folder}
}

// compare builds one kustomization with both; the error says how they differ.
func (c *tally) compare(t *testing.T, binary string, files onDisk, root string) {
	t.Helper()
	result, err := kustomize.Renderer{}.Render(t.Context(), renderer.Request{FS: files.FS, Dir: root})
	var refused *renderer.Error
	if err != nil && !errors.As(err, &refused) {
		t.Errorf("the error names no file: %v", err)
	}
	for reason, says := range refusals {
		if err != nil && says.MatchString(err.Error()) {
			c.Skipped[reason]++
			return
		}
	}
	want, upstreamErr := upstream(t, binary, files.folder, root)
	switch {
	case err != nil && upstreamErr != nil:
		c.Refused++
	case err != nil:
		c.Differs++
		t.Errorf("only Periplus refuses it: %v", err)
	case upstreamErr != nil:
		c.Differs++
		t.Errorf("only upstream refuses it: %v", upstreamErr)
	default:
		if diff := cmp.Diff(want, canonical(t, result)); diff != "" {
			c.Differs++
			t.Errorf("-upstream +periplus:\n%s", diff)
			return
		}
		c.Same++
	}
}

func upstream(t *testing.T, binary, folder, root string) ([]string, error) {
	t.Helper()
	build := exec.Command(binary, "build", filepath.Join(folder, root))
	build.Env = []string{"HOME=" + folder, "PATH="}
	var stderr bytes.Buffer
	build.Stderr = &stderr
	out, err := build.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, stderr.String())
	}
	objects := []string{}
	for _, document := range strings.Split("\n"+string(out), "\n---\n") {
		if strings.TrimSpace(document) == "" {
			continue
		}
		// As kubectl reads it.
		data, err := yaml.YAMLToJSON([]byte(document + "\n"))
		if err != nil {
			t.Fatalf("upstream's output cannot be read: %v\n%s", err, document)
		}
		objects = append(objects, reencode(t, data))
	}
	return objects, nil
}

func canonical(t *testing.T, result renderer.Result) []string {
	t.Helper()
	objects := []string{}
	for _, object := range result.Objects {
		data, err := content.CanonicalJSON(object.Value)
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, reencode(t, data))
	}
	return objects
}

// reencode makes equal values equal texts, and long differences readable.
func reencode(t *testing.T, data []byte) string {
	t.Helper()
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (c *tally) print(t *testing.T, what string) {
	t.Helper()
	line, err := json.Marshal(map[string]any{"what": what, "same": c.Same, "refused by both": c.Refused, "differs": c.Differs, "skipped": c.Skipped})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(line))
}

// TestKustomizeOwnExamples builds every kustomization below testdata/kustomize.
func TestKustomizeOwnExamples(t *testing.T) {
	binary := kustomizeBinary(t)
	files := copied(t, os.DirFS("testdata/kustomize"))
	count := tally{Skipped: map[string]int{}}
	for _, root := range kustomizations(t, files) {
		t.Run(root, func(t *testing.T) { count.compare(t, binary, files, root) })
	}
	count.print(t, "own examples")
}

// TestKustomizeUpstreamExamples builds the examples of upstream's own tests, which are in the module's source.
func TestKustomizeUpstreamExamples(t *testing.T) {
	binary := kustomizeBinary(t)
	count := tally{Skipped: map[string]int{}}
	for _, example := range upstreamExamples(t, count.Skipped) {
		t.Run(example.name, func(t *testing.T) { count.compare(t, binary, copied(t, example.files), example.root) })
	}
	count.print(t, "upstream's tests")
	if count.Same < 200 {
		t.Errorf("only %d of upstream's examples were found and are the same", count.Same)
	}
}

// upstreamRepository is the last module that has all of upstream's repository in it, and so its folder of examples.
const upstreamRepository = "sigs.k8s.io/kustomize/v3@v3.3.1"

// moreKustomizations names folders, as a PATH does, below which all kustomizations are compared, too.
const moreKustomizations = "PERIPLUS_KUSTOMIZATIONS"

// TestKustomizeOfOthers builds upstream's examples, the kustomizations that come with the modules which this one requires, and
// those of the person who runs it.
func TestKustomizeOfOthers(t *testing.T) {
	binary := kustomizeBinary(t)
	folders := map[string]string{"sigs.k8s.io/cluster-api": moduleFolder(t, "sigs.k8s.io/cluster-api"), "sigs.k8s.io/kwok": moduleFolder(t, "sigs.k8s.io/kwok")}
	for _, folder := range filepath.SplitList(os.Getenv(moreKustomizations)) {
		folders[folder] = folder
	}
	out, err := exec.Command("go", "mod", "download", "-json", upstreamRepository).Output()
	var module struct{ Dir string }
	if err != nil || json.Unmarshal(out, &module) != nil {
		t.Logf("skipped: %s cannot be downloaded: %v", upstreamRepository, err)
	} else {
		folders["upstream's examples"] = filepath.Join(module.Dir, "examples")
	}
	for _, name := range slices.Sorted(maps.Keys(folders)) {
		count := tally{Skipped: map[string]int{}}
		files := copied(t, readable(t, os.DirFS(folders[name])))
		for _, root := range kustomizations(t, files) {
			t.Run(name+"/"+root, func(t *testing.T) { count.compare(t, binary, files, root) })
		}
		count.print(t, name)
	}
}

func kustomizations(t *testing.T, files fs.FS) []string {
	t.Helper()
	var roots []string
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == "kustomization.yaml" && !isComponent(files, name) {
			roots = append(roots, filepath.ToSlash(filepath.Dir(name)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return roots
}

// isComponent says whether a kustomization is built as a part of others alone.
func isComponent(files fs.FS, name string) bool {
	data, err := fs.ReadFile(files, name)
	return err == nil && bytes.Contains(data, []byte("kind: Component"))
}

// readable keeps the folders with kustomizations of a module: copies are made of it.
func readable(t *testing.T, files fs.FS) fs.FS {
	t.Helper()
	kept := fstest.MapFS{}
	for _, root := range kustomizations(t, files) {
		// The tree of a kustomization, from the topmost folder but one: its bases are there.
		top := strings.Join(strings.Split(root, "/")[:min(3, strings.Count(root, "/")+1)], "/")
		err := fs.WalkDir(files, top, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(name) == ".go" {
				return err
			}
			data, err := fs.ReadFile(files, name)
			kept[name] = &fstest.MapFile{Data: data, Mode: 0o644}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return kept
}

func moduleFolder(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatalf("cannot find module %s: %v", module, err)
	}
	return strings.TrimSpace(string(out))
}
