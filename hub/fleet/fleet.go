// Package fleet reads what a commit of a fleet repo declares: clusters, groups, Cluster API resources, bundles, policies. It
// stands between source, which gives the files, and target and gate, which use the snapshot; its sub-package apply brings
// clusters and Cluster API resources to the hub's API.
//
// What cannot be read or parsed freezes: the declaration before it stays in force and the refusal says where and why. Only
// what a readable commit positively no longer holds is gone.
package fleet

import (
	"io/fs"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/delivery"
)

// Tree is the files of one commit; source.Tree is one.
type Tree interface {
	fs.FS
	fs.ReadFileFS
	fs.ReadDirFS
	fs.StatFS
	// Hash of a file's or folder's content.
	Hash(name string) (string, error)
	Commit() string
}

// Ref of a Git repository.
type Ref = v1alpha1.GitRef

// Snapshot is what one commit declares, with what stays in force of earlier ones where the commit could not be read.
type Snapshot struct {
	Commit string
	// Repo is namespace/name of the FleetRepo.
	Repo      string
	Clusters  []ClusterDecl
	Groups    []GroupDecl
	Resources []ResourceDecl
	Bundles   []BundleDecl
	Policies  PolicySources
	// Refused is sorted by file and line.
	Refused []v1alpha1.Refusal
	// Frozen names what nothing may be concluded about, since the commit's word on it was refused: what is not in the
	// snapshot but frozen is not gone.
	Frozen Frozen

	// files holds the last good declarations of each file of clusters/ and policies/.
	files map[string]*declared
}

// Frozen files, and objects by "Kind/name".
type Frozen struct {
	Files   map[string]bool
	Objects map[string]bool
	// Unknown is a refused file of clusters/ of which no readable version is known, so that it may declare anything: while
	// it is not "", no object of the hub's API is gone.
	Unknown string
}

// Position in the repository.
type Position struct {
	// File, relative to the Git repository's root.
	File string
	Line int
}

// ClusterDecl is a FleetCluster as declared.
type ClusterDecl struct {
	Position
	Cluster v1alpha1.FleetCluster
	// Object is the document word for word: what is applied, so that fields which Git does not name stay unowned.
	Object *unstructured.Unstructured
}

// GroupDecl is a ClusterGroup with its compiled selector.
type GroupDecl struct {
	Position
	Group    v1alpha1.ClusterGroup
	Selector labels.Selector
}

// ResourceDecl is a Cluster API class or template.
type ResourceDecl struct {
	Position
	Object *unstructured.Unstructured
}

// BundleDecl is a bundle in force.
type BundleDecl struct {
	Key delivery.Key
	// Path of its folder, relative to the Git repository's root.
	Path string
	Spec v1alpha1.BundleSpec
	// Commit that last changed the bundle, as far as it was seen; TreeHash covers everything that its rendering reads.
	Commit   string
	TreeHash string
	// Tree that its content is rendered from: the snapshot's commit, or the last good one while it is frozen.
	Tree Tree
	// File is bundle.yaml, Line its document's, Lines those of every field path.
	File  string
	Line  int
	Lines map[string]int
	// Matchers of targets, overlays, exclusions and dependencies.
	Matchers Matchers
	// Frozen says why a newer version was refused; "" when it was not.
	Frozen string
}

// LineOf a field path, or of its nearest parent.
func (b BundleDecl) LineOf(field string) int { return lineOf(b.Lines, field, b.Line) }

// PolicySources are the policies of a fleet repo, not compiled yet.
type PolicySources struct {
	// Modules are Rego files without tests and data of conftest packages, Tests those named *_test.rego.
	Modules    []File
	Tests      []File
	Bindings   []BindingDecl
	Exemptions []ExemptionDecl
	// Gatekeeper is ConstraintTemplates, Constraints and ExpansionTemplates.
	Gatekeeper []GatekeeperDecl
}

// GatekeeperDecl is a ConstraintTemplate or a Constraint with where it stands.
type GatekeeperDecl struct {
	Position
	Object map[string]any
}

// Files that policies stand in.
func (p PolicySources) Files() map[string]bool {
	out := map[string]bool{}
	for _, module := range p.Modules {
		out[module.Path] = true
	}
	for _, b := range p.Bindings {
		out[b.File] = true
	}
	for _, e := range p.Exemptions {
		out[e.File] = true
	}
	for _, g := range p.Gatekeeper {
		out[g.File] = true
	}
	return out
}

// File is one file's content.
type File struct {
	Path string
	Data []byte
}

// BindingDecl is a PolicyBinding with where it stands.
type BindingDecl struct {
	Position
	Binding v1alpha1.PolicyBinding
}

// ExemptionDecl is a PolicyExemption with where it stands.
type ExemptionDecl struct {
	Position
	Exemption v1alpha1.PolicyExemption
}

// declared is the content of one file of clusters/ or policies/.
type declared struct {
	hash       string
	clusters   []ClusterDecl
	groups     []GroupDecl
	resources  []ResourceDecl
	bindings   []BindingDecl
	exemptions []ExemptionDecl
	gatekeeper []GatekeeperDecl
	// rego is set for modules, tests and data of conftest packages.
	rego []byte
}
