// Package argocd translates what Argo CD runs by: Applications, ApplicationSets with the generators that need no service,
// and the Secrets of clusters, into bundles and clusters of this project.
package argocd

import (
	"context"
	"encoding/base64"
	"errors"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

const (
	group         = "argoproj.io"
	secretType    = "argocd.argoproj.io/secret-type"
	inCluster     = "in-cluster"
	inClusterHost = "https://kubernetes.default.svc"
)

// Config of an import.
type Config struct {
	// Tree is the repository.
	Tree fs.FS
	// URL of the repository; "" where it is not known.
	URL string
	// Local folders, relative to Tree, that stand for other repositories, by URL.
	Local map[string]string
}

// reading is the state of one import.
type reading struct {
	Config
	ctx  context.Context
	repo *importer.Repo
	// known clusters of Secrets, sorted by name.
	known []known
	// looked into are the folders of apps of apps.
	looked map[string]bool
	// seen objects: one may be found in a folder and again by the application that names the folder.
	seen map[string]bool
}

type known struct {
	name, server string
	labels       map[string]string
}

// Import reads the repository. An error means that nothing should be written.
func Import(ctx context.Context, cfg Config) (*importer.Repo, error) {
	r := &reading{Config: cfg, ctx: ctx, repo: importer.NewRepo(), seen: map[string]bool{}, looked: map[string]bool{}}
	documents, err := importer.Scan(cfg.Tree, ".", r.repo.Report, group, secretType)
	if err != nil {
		return nil, err
	}
	for _, d := range documents {
		r.cluster(d)
	}
	r.addLocalCluster()
	found := false
	for _, d := range documents {
		own, err := r.object(d)
		if err != nil {
			return nil, err
		}
		found = found || own
	}
	unnamed, err := r.unnamedCharts()
	if err != nil {
		return nil, err
	}
	if !found && !unnamed {
		return nil, errors.New("there is neither an Application nor an ApplicationSet in this folder")
	}
	return r.repo, nil
}

// object translates one of Argo CD's objects; own is false for any other.
func (r *reading) object(d importer.Document) (own bool, err error) {
	if d.Group() != group {
		return false, nil
	}
	key := d.Kind + " " + d.Namespace + "/" + d.Name
	switch d.Kind {
	case "Application", "ApplicationSet":
		if r.seen[key] {
			return true, nil
		}
		r.seen[key] = true
	}
	switch d.Kind {
	case "Application":
		return true, r.application(d)
	case "ApplicationSet":
		return true, r.applicationSet(d)
	case "AppProject":
		r.repo.Report.LeftOut(d.At(""), d.What(), "who may deliver what is said by namespaces of the hub, the tenants of an agent's chart, and policies",
			"put the bundles of a team into a FleetRepo of its own namespace; write source and kind restrictions as Rego")
		return true, nil
	default:
		return false, nil
	}
}

// cluster reads a Secret that tells Argo CD of a cluster.
func (r *reading) cluster(d importer.Document) {
	metadata, _ := d.Object["metadata"].(map[string]any)
	labels, _ := metadata["labels"].(map[string]any)
	var secret clusterSecret
	if d.Kind != "Secret" || d.APIVersion != "v1" || labels[secretType] != "cluster" || !d.Read(&secret, r.repo.Report) {
		return
	}
	value := func(key string) string {
		if decoded, err := base64.StdEncoding.DecodeString(secret.Data[key]); err == nil && len(decoded) > 0 {
			return string(decoded)
		}
		return secret.StringData[key]
	}
	one := known{name: value("name"), server: strings.TrimRight(value("server"), "/"), labels: map[string]string{}}
	if one.name == "" {
		one.name = d.Name
	}
	made := r.repo.Cluster(importer.Name(one.name))
	for key, label := range secret.Metadata.Labels {
		one.labels[key] = label
		if key != secretType {
			made.Labels[key] = label
		}
	}
	r.known = append(r.known, one)
	r.repo.Report.Translated(d.At(""), d.What(), "FleetCluster "+made.Name+", which joins with `periplus cluster join "+made.Name+"`; the credentials are not needed any more")
}

// addLocalCluster is the one that Argo CD runs in, which needs no Secret.
func (r *reading) addLocalCluster() {
	if len(r.known) > 0 && !slices.ContainsFunc(r.known, func(k known) bool { return k.server == inClusterHost }) {
		r.known = append(r.known, known{inCluster, inClusterHost, map[string]string{}})
	}
	slices.SortFunc(r.known, func(a, b known) int { return strings.Compare(a.name, b.name) })
}

// place names the FleetCluster of a destination, and makes it.
func (r *reading) place(to destination, d importer.Document) string {
	name := to.Name
	for _, one := range r.known {
		if one.name == to.Name || to.Name == "" && one.server == strings.TrimRight(to.Server, "/") {
			return r.repo.Cluster(importer.Name(one.name)).Name
		}
	}
	switch {
	case name != "":
	case to.Server == "" || strings.TrimRight(to.Server, "/") == inClusterHost:
		name = inCluster
	default:
		name = to.Server
		if parsed, err := url.Parse(to.Server); err == nil && parsed.Host != "" {
			name = parsed.Hostname()
		}
	}
	name = importer.Name(name)
	if r.repo.Clusters[name] == nil {
		r.repo.Cluster(name)
		where := to.Name
		if where == "" {
			where = to.Server
		}
		r.repo.Report.Differs(d.At(""), "cluster "+where, "FleetCluster "+name+": no cluster Secret in this folder says more of it", "give it the labels that you select by; it joins with `periplus cluster join "+name+"`")
	}
	return name
}

// checkout says which folder of the tree stands for a repository. Where nothing names it, it is taken for this one if the
// path is there.
func (r *reading) checkout(repository, folder string) (root string, ok bool) {
	for named, local := range r.Local {
		if sameURL(named, repository) {
			return path.Clean(local), true
		}
	}
	if r.URL != "" && sameURL(r.URL, repository) {
		return ".", true
	}
	clean := path.Clean(strings.Trim(folder, "/"))
	if fs.ValidPath(clean) && importer.Exists(r.Tree, clean) {
		if repository != "" {
			r.repo.Report.Differs(importer.Position{File: "."}, "repository "+repository, "taken for this one, since the folders that it names are there", "import again with --local "+repository+"=<folder>, if it is another")
		}
		return ".", true
	}
	return "", false
}

func sameURL(a, b string) bool {
	plain := func(text string) string {
		text = strings.TrimSuffix(strings.TrimRight(text, "/"), ".git")
		if at := strings.LastIndex(text, "@"); at >= 0 {
			text = strings.Replace(text[at+1:], ":", "/", 1)
		}
		_, after, found := strings.Cut(text, "://")
		if found {
			text = after
		}
		return strings.ToLower(text)
	}
	return plain(a) == plain(b)
}

// children translates the objects of Argo CD that an application consists of; others says that it holds anything else.
func (r *reading) children(objects []renderer.Object, parent importer.Document) (own int, others bool, err error) {
	for _, one := range objects {
		file, line, _ := strings.Cut(one.Source, ":")
		d := importer.NewDocument(file, importer.Document{}.Document, one.Value)
		d.Line, _ = strconv.Atoi(line)
		is, err := r.object(d)
		if err != nil {
			return 0, false, err
		}
		if is {
			own++
		} else {
			others = true
		}
	}
	if own > 0 {
		r.repo.Report.Translated(parent.At(""), parent.What(), "an app of apps: it holds "+importer.Count(own, "object")+" of Argo CD, which were read")
	}
	return own, others, nil
}

// unnamedCharts reads charts of applications that no Application names: somebody creates the first one by hand.
func (r *reading) unnamedCharts() (found bool, err error) {
	err = fs.WalkDir(r.Tree, ".", func(file string, entry fs.DirEntry, err error) error {
		folder := path.Dir(file)
		if err != nil || entry.Name() != "Chart.yaml" || entry.IsDir() || r.looked[folder] || !r.mentions(path.Join(folder, "templates")) {
			return err
		}
		parent := importer.Document{File: file, Kind: "chart", Name: folder}
		objects, err := importer.Helm(r.ctx, r.Tree, folder, importer.Name(path.Base(folder)), "argocd", nil)
		if err != nil {
			r.repo.Report.LeftOut(importer.Position{File: file}, parent.What(), err.Error(), "mend it and import again")
			return nil
		}
		own, _, err := r.children(objects, parent)
		if own > 0 {
			found = true
			r.repo.Report.Differs(importer.Position{File: file}, parent.What(), "a chart of applications that no Application in this folder names was rendered with its own values", "put the Application that names it into the folder, if it sets others")
		}
		return err
	})
	return found, err
}
