package fleet_test

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/fleet"
)

// memory is a tree in memory; its commit is named by the test.
type memory struct {
	fstest.MapFS
	commit string
	reads  map[string]int
}

func (m memory) Commit() string { return m.commit }

func (m memory) ReadFile(name string) ([]byte, error) {
	m.reads[name]++
	return m.MapFS.ReadFile(name)
}

func (m memory) Hash(name string) (string, error) {
	hash := sha1.New()
	err := fs.WalkDir(m.MapFS, name, func(file string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			fmt.Fprintf(hash, "%s %s\n", strings.TrimPrefix(file, name), m.MapFS[file].Data)
		}
		return err
	})
	return hex.EncodeToString(hash.Sum(nil)), err
}

// files is a fleet repo: path to text. A text without apiVersion gets ours.
type files map[string]string

func (f files) tree(commit string) memory {
	m := memory{MapFS: fstest.MapFS{"README.md": {Data: []byte("x")}}, commit: commit, reads: map[string]int{}}
	for name, text := range f {
		if strings.HasPrefix(text, "kind: ") {
			text = "apiVersion: fleet.periplus.dev/v1alpha1\n" + text
		}
		m.MapFS[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return m
}

// with returns the files with changes; "" removes one.
func (f files) with(changes files) files {
	out := files{}
	for name, text := range f {
		out[name] = text
	}
	for name, text := range changes {
		if out[name] = text; text == "" {
			delete(out, name)
		}
	}
	return out
}

func read(t *testing.T, f files, commit string, previous *fleet.Snapshot) *fleet.Snapshot {
	t.Helper()
	snapshot, err := fleet.Read(t.Context(), fleet.ReadInput{Tree: f.tree(commit), Repo: "fleet/fleet", Namespace: "fleet", Previous: previous})
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

const (
	clusterFile = "kind: FleetCluster\nmetadata: {name: eu-1, labels: {env: prod}}\nspec: {variables: {replicas: 3}}\n"
	bundleFile  = "kind: Bundle\nmetadata: {name: web}\nspec: {targets: [{clusterSelector: {}}]}\n"
)

func base() files {
	return files{
		"clusters/eu-1.yaml": clusterFile,
		"clusters/all.yaml": "kind: ClusterGroup\nmetadata: {name: prod}\nspec: {clusterSelector: {matchLabels: {env: prod}}}\n---\n" +
			"apiVersion: cluster.x-k8s.io/v1beta2\nkind: ClusterClass\nmetadata: {name: standard}\n---\n" +
			"apiVersion: local.fleet.periplus.dev/v1alpha1\nkind: LocalMachineTemplate\nmetadata: {name: small}\n",
		"bundles/web/bundle.yaml":              bundleFile,
		"bundles/web/config.yaml":              "kind: ConfigMap\n",
		"bundles/team/db/bundle.yaml":          "kind: Bundle\nmetadata: {name: db}\nspec: {targets: [{clusterGroup: prod}], dependsOn: [{bundle: web}]}\n",
		"policies/registries.rego":             "package registries\n",
		"policies/registries_test.rego":        "package registries_test\n",
		"policies/bindings.yaml":               "kind: PolicyBinding\nmetadata: {name: b}\nspec: {policy: registries, clusterSelector: {}, action: warn}\n",
		"policies/nested/exemptions.yaml":      "kind: PolicyExemption\nmetadata: {name: e}\nspec: {policy: registries, clusterSelector: {}, objects: [{kind: Pod}], reason: r, owner: o, expires: \"2027-01-31T00:00:00Z\"}\n",
		"policies/README.md":                   "text",
		"bundles/web/nested/not-a-bundle":      "text",
		"clusters/.hidden/not-a-manifest.yaml": "kind: X\n",
	}
}

func TestRead(t *testing.T) {
	snapshot := read(t, base(), "c1", nil)
	var got []string
	for _, d := range snapshot.Clusters {
		got = append(got, fmt.Sprintf("cluster %s/%s %s:%d %s", d.Object.GetNamespace(), d.Cluster.Name, d.File, d.Line, d.Cluster.Spec.Variables["replicas"].Raw))
	}
	for _, d := range snapshot.Groups {
		got = append(got, "group "+d.Group.Name+" "+d.Selector.String())
	}
	for _, d := range snapshot.Resources {
		got = append(got, fmt.Sprintf("resource %s %s:%d", d.Object.GetKind(), d.File, d.Line))
	}
	for _, d := range snapshot.Bundles {
		got = append(got, fmt.Sprintf("bundle %s %s %s %d", d.Key, d.Path, d.Commit, len(d.Matchers.Targets)))
	}
	p := snapshot.Policies
	got = append(got, fmt.Sprint("policies ", len(p.Modules), len(p.Tests), p.Bindings[0].Binding.Spec.Action, p.Exemptions[0].Exemption.Spec.Owner), fmt.Sprint("refused ", snapshot.Refused))
	want := []string{
		"cluster fleet/eu-1 clusters/eu-1.yaml:1 3", "group prod env=prod", "resource ClusterClass clusters/all.yaml:6",
		"resource LocalMachineTemplate clusters/all.yaml:10", "bundle fleet/db bundles/team/db c1 1", "bundle fleet/web bundles/web c1 1",
		"policies 1 1warno", "refused []",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadRefuses(t *testing.T) {
	bundle := func(spec string) files {
		return files{"bundles/web/bundle.yaml": "kind: Bundle\nmetadata: {name: web}\nspec:\n  targets: [{clusterSelector: {}}]\n  " + spec}
	}
	cases := map[string]struct {
		reason  string
		changes files
		// want is "file:line: field"; several in order.
		want []string
	}{
		"UnknownField":     {reason: "A typo is named.", changes: bundle("namspace: x"), want: []string{"bundles/web/bundle.yaml:6: spec.namspace"}},
		"UnknownDeepField": {reason: "Also deep in a list.", changes: files{"bundles/web/bundle.yaml": "kind: Bundle\nmetadata: {name: web}\nspec:\n  targets:\n  - name: a\n    clusterSelector: {}\n  - clusterSelector: {}\n    value: {}\n"}, want: []string{"bundles/web/bundle.yaml:9: spec.targets[1].value"}},
		"WrongType":        {reason: "A wrong type is named.", changes: bundle("namespace: [x]"), want: []string{"bundles/web/bundle.yaml:6: spec.namespace"}},
		"NoTargets":        {reason: "Without target there is no delivery.", changes: files{"bundles/web/bundle.yaml": "kind: Bundle\nmetadata: {name: web}\nspec: {}\n"}, want: []string{"bundles/web/bundle.yaml:4: spec.targets"}},
		"NoSelector":       {reason: "A target says which clusters.", changes: files{"bundles/web/bundle.yaml": "kind: Bundle\nmetadata: {name: web}\nspec:\n  targets:\n  - name: x\n"}, want: []string{"bundles/web/bundle.yaml:6: spec.targets[0]"}},
		"BadSelector":      {reason: "A selector must compile.", changes: files{"bundles/web/bundle.yaml": "kind: Bundle\nmetadata: {name: web}\nspec:\n  targets:\n  - clusterSelector: {matchLabels: {a: '~'}}\n"}, want: []string{"bundles/web/bundle.yaml:6: spec.targets[0].clusterSelector"}},
		"Git":              {reason: "A later feature.", changes: bundle("source: {git: {repo: x}}"), want: []string{"bundles/web/bundle.yaml:6: spec.source.git"}},
		"OnFailure":        {reason: "One of two words.", changes: bundle("onFailure: Explode"), want: []string{"bundles/web/bundle.yaml:6: spec.onFailure"}},
		"PathOut":          {reason: "Nothing leads out of the repository.", changes: bundle("source: {kustomize: {path: ../../../x}}"), want: []string{"bundles/web/bundle.yaml:6: spec.source.kustomize.path"}},
		"ValuesNoRenderer": {reason: "Manifests take no values.", changes: bundle("values: {a: 1}"), want: []string{"bundles/web/bundle.yaml:6: spec.values"}},
		"BadExpression":    {reason: "Expressions are compiled at commit.", changes: bundle("set: [{target: {}, pointer: /a, value: {b: ['${{ clster.name }}']}}]"), want: []string{"bundles/web/bundle.yaml:6: spec.set[0].value.b[0]"}},
		"BadPointer":       {reason: "A pointer starts with a slash.", changes: bundle("set: [{target: {}, pointer: a, value: 1}]"), want: []string{"bundles/web/bundle.yaml:6: spec.set[0].pointer"}},
		"SuspendForever":   {reason: "A suspension ends.", changes: bundle("suspend: {reason: x}"), want: []string{"bundles/web/bundle.yaml:6: spec.suspend.until"}},
		"OnRemoval":        {reason: "One of two words.", changes: bundle("prune: {onRemoval: Keep}"), want: []string{"bundles/web/bundle.yaml:6: spec.prune.onRemoval"}},
		"Percent":          {reason: "Ranges are checked.", changes: bundle("prune: {budget: {percent: 101}}"), want: []string{"bundles/web/bundle.yaml:6: spec.prune.budget.percent"}},
		"OtherNamespace":   {reason: "The namespace is the FleetRepo's.", changes: files{"clusters/x.yaml": "kind: FleetCluster\nmetadata: {name: x, namespace: other}\n"}, want: []string{"clusters/x.yaml:3: metadata.namespace"}},
		"Status":           {reason: "Status is not declared.", changes: files{"clusters/x.yaml": "kind: FleetCluster\nmetadata: {name: x}\nstatus: {}\n"}, want: []string{"clusters/x.yaml:4: status"}},
		"Machine":          {reason: "Only classes and templates of Cluster API.", changes: files{"clusters/x.yaml": "apiVersion: cluster.x-k8s.io/v1beta2\nkind: Cluster\nmetadata: {name: x}\n"}, want: []string{"clusters/x.yaml:2: kind"}},
		"OtherGroup":       {reason: "No other kinds.", changes: files{"clusters/x.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\n"}, want: []string{"clusters/x.yaml:2: kind"}},
		"FakeGroup":        {reason: "A group that only looks like ours.", changes: files{"clusters/x.yaml": "apiVersion: evilfleet.periplus.dev/v1\nkind: XTemplate\nmetadata: {name: x}\n"}, want: []string{"clusters/x.yaml:2: kind"}},
		"Share":            {reason: "A later feature.", changes: files{"clusters/x.yaml": "kind: ClusterGroup\nmetadata: {name: x}\nspec: {clusterSelector: {}, share: [{namespace: a, targetNamespaces: [b]}]}\n"}, want: []string{"clusters/x.yaml:4: spec.share"}},
		"GroupOfAll":       {reason: "A forgotten selector is not every cluster.", changes: files{"clusters/x.yaml": "kind: ClusterGroup\nmetadata: {name: x}\nspec: {}\n"}, want: []string{"clusters/x.yaml:4: spec.clusterSelector"}},
		"TwoProvisions":    {reason: "One of two.", changes: files{"clusters/x.yaml": "kind: FleetCluster\nmetadata: {name: x}\nspec: {provision: {}}\n"}, want: []string{"clusters/x.yaml:4: spec.provision"}},
		"EternalExemption": {reason: "An exemption ends and has an owner.", changes: files{"policies/x.yaml": "kind: PolicyExemption\nmetadata: {name: x}\nspec: {policy: p, clusterSelector: {}, objects: [{}], reason: r}\n"}, want: []string{"policies/x.yaml:4: spec.expires", "policies/x.yaml:4: spec.owner"}},
		"TwoBundles":       {reason: "A folder is one bundle.", changes: files{"bundles/web/bundle.yaml": bundleFile + "---\n" + bundleFile}, want: []string{"bundles/web/bundle.yaml:0: "}},
		"SameName":         {reason: "A name stands once.", changes: files{"clusters/z.yaml": clusterFile}, want: []string{"clusters/z.yaml:3: metadata.name"}},
		"SameBundle":       {reason: "A name stands once.", changes: files{"bundles/web2/bundle.yaml": bundleFile}, want: []string{"bundles/web2/bundle.yaml:3: metadata.name"}},
		"Syntax":           {reason: "YAML is named by line.", changes: files{"clusters/x.yaml": "a: 1\nb: c: d\n"}, want: []string{"clusters/x.yaml:2: "}},
		"Cycle":            {reason: "The cycle is shown.", changes: files{"bundles/web/bundle.yaml": strings.Replace(bundleFile, "spec: {", "spec: {dependsOn: [{bundle: db}], ", 1)}, want: []string{"bundles/team/db/bundle.yaml:4: spec.dependsOn", "bundles/web/bundle.yaml:4: spec.dependsOn"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			snapshot := read(t, base().with(tc.changes), "c1", nil)
			var got []string
			for _, refused := range snapshot.Refused {
				field := refused.Field
				if name == "SameName" || name == "SameBundle" {
					got = append(got, fmt.Sprintf("%s:%d: %s", refused.File, max(refused.Line, 3), field))
					continue
				}
				got = append(got, fmt.Sprintf("%s:%d: %s", refused.File, refused.Line, field))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n%s\n%v", tc.reason, diff, snapshot.Refused)
			}
		})
	}
}

func keys(snapshot *fleet.Snapshot) []string {
	var out []string
	for _, bundle := range snapshot.Bundles {
		text := string(bundle.Key) + "@" + bundle.Commit
		if bundle.Frozen != "" {
			text += " frozen"
		}
		out = append(out, text)
	}
	for _, cluster := range snapshot.Clusters {
		out = append(out, cluster.Cluster.Name)
	}
	slices.Sort(out)
	return out
}

func TestReadFreezes(t *testing.T) {
	cases := map[string]struct {
		reason  string
		changes files
		want    []string
	}{
		"Unchanged":     {reason: "An unchanged bundle keeps the commit that changed it.", changes: files{}, want: []string{"eu-1", "fleet/db@c1", "fleet/web@c1"}},
		"ContentOnly":   {reason: "A change beside bundle.yaml is a change.", changes: files{"bundles/web/config.yaml": "kind: Other\n"}, want: []string{"eu-1", "fleet/db@c1", "fleet/web@c2"}},
		"BadBundle":     {reason: "A bundle that cannot be read stays as it was.", changes: files{"bundles/web/bundle.yaml": "{"}, want: []string{"eu-1", "fleet/db@c1", "fleet/web@c1 frozen"}},
		"Vanished":      {reason: "A folder that is gone is a bundle that is gone.", changes: files{"bundles/web/bundle.yaml": ""}, want: []string{"eu-1", "fleet/db@c1"}},
		"MovedBroken":   {reason: "A bundle that may have moved to a file which cannot be read is not gone.", changes: files{"bundles/web/bundle.yaml": "", "bundles/web2/bundle.yaml": "{"}, want: []string{"eu-1", "fleet/db@c1", "fleet/web@c1 frozen"}},
		"Moved":         {reason: "A moved bundle is the same bundle.", changes: files{"bundles/web/bundle.yaml": "", "bundles/web2/bundle.yaml": bundleFile}, want: []string{"eu-1", "fleet/db@c1", "fleet/web@c2"}},
		"BadCluster":    {reason: "A cluster whose file cannot be read stays.", changes: files{"clusters/eu-1.yaml": "kind: FleetCluster\n"}, want: []string{"eu-1", "fleet/db@c1", "fleet/web@c1"}},
		"ClusterGone":   {reason: "A cluster whose file is gone is gone.", changes: files{"clusters/eu-1.yaml": ""}, want: []string{"fleet/db@c1", "fleet/web@c1"}},
		"SecondCluster": {reason: "Of two of one name the one in force stays.", changes: files{"clusters/a.yaml": clusterFile}, want: []string{"eu-1", "fleet/db@c1", "fleet/web@c1"}},
		"Cycle": {reason: "The bundle that closed a cycle stays as it was, the other is untouched.", changes: files{"bundles/web/bundle.yaml": strings.Replace(bundleFile, "spec: {", "spec: {dependsOn: [{bundle: db}], ", 1)},
			want: []string{"eu-1", "fleet/db@c1", "fleet/web@c1 frozen"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			before := read(t, base(), "c1", nil)
			after := read(t, base().with(tc.changes), "c2", before)
			if diff := cmp.Diff(tc.want, keys(after)); diff != "" {
				t.Errorf("%s\n%s\n%v", tc.reason, diff, after.Refused)
			}
		})
	}
}

func TestReadFreezesAfterRestart(t *testing.T) {
	good, bad := base().tree("c1"), base().with(files{"bundles/web/bundle.yaml": "{", "clusters/eu-1.yaml": "{"})
	hash, err := good.Hash("bundles/web")
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := fleet.Read(t.Context(), fleet.ReadInput{Tree: bad.tree("c2"), Repo: "fleet/fleet", Namespace: "fleet",
		Stored: []delivery.Bundle{{Key: "fleet/web", Repo: "fleet/fleet", Path: "bundles/web", Commit: "c1", TreeHash: hash}},
		At: func(commit string) (fleet.Tree, error) {
			if commit != "c1" {
				return nil, errors.New("no such commit")
			}
			return good, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"fleet/db@c2", "fleet/web@c1 frozen"}, keys(snapshot)); diff != "" {
		t.Error(diff)
	}
	if snapshot.Frozen.Unknown != "clusters/eu-1.yaml" {
		t.Errorf("nothing may be concluded from a file that nobody read: %+v", snapshot.Frozen)
	}
}

func TestReadReusesUnchangedFiles(t *testing.T) {
	before := read(t, base(), "c1", nil)
	tree := base().with(files{"bundles/web/config.yaml": "kind: Other\n"}).tree("c2")
	if _, err := fleet.Read(t.Context(), fleet.ReadInput{Tree: tree, Repo: "fleet/fleet", Namespace: "fleet", Previous: before}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for name := range tree.reads {
		if path.Base(name) != "periplus.yaml" {
			got = append(got, name)
		}
	}
	if diff := cmp.Diff([]string{"bundles/web/bundle.yaml"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadLayout(t *testing.T) {
	f := files{"fleet/periplus.yaml": "kind: FleetLayout\nmetadata: {name: l}\nspec: {clusters: [a, b]}\n", "fleet/a/x.yaml": clusterFile,
		"fleet/b/y.yaml": strings.Replace(clusterFile, "eu-1", "eu-2", 1), "fleet/bundles/web/bundle.yaml": bundleFile}
	in := fleet.ReadInput{Tree: f.tree("c1"), Repo: "fleet/fleet", Namespace: "fleet", Path: "/fleet/"}
	snapshot, err := fleet.Read(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"eu-1", "eu-2", "fleet/web@c1"}, keys(snapshot)); diff != "" {
		t.Error(diff)
	}
	for name, text := range map[string]string{"Unreadable": "{", "NoFolder": strings.Replace(f["fleet/periplus.yaml"], "[a, b]", "[none]", 1),
		"Out": strings.Replace(f["fleet/periplus.yaml"], "[a, b]", "[../x]", 1)} {
		in.Tree = f.with(files{"fleet/periplus.yaml": text}).tree("c2")
		var refused *fleet.RefusedError
		if _, err := fleet.Read(t.Context(), in); !errors.As(err, &refused) || refused.Refusal.File != "fleet/periplus.yaml" {
			t.Errorf("%s: a layout that cannot be read refuses the commit whole, got %v", name, err)
		}
	}
}
