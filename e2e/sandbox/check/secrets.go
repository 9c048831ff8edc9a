package check

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/e2e/sandbox"
)

// A SOPS-encrypted Secret, and the age key that opens it: made for this check, and nobody's secret.
var (
	//go:embed sealed/secret.yaml
	sealedManifest string
	//go:embed sealed/key.agekey
	sealedKey []byte
)

const (
	sealedName      = "sealed"
	sealedPlaintext = "correct-horse-battery"
	// keySecret is where agents look for keys by default.
	keySecret = "periplus-sops"
)

// sealed: an encrypted manifest is opened in the one cluster that has the key; the hub never sees more.
func sealed(ctx context.Context, w *world) error {
	state, err := w.box.State(ctx)
	if err != nil {
		return err
	}
	m, err := w.member(ctx, state.Clusters[0].Name)
	if err != nil {
		return err
	}
	key := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: sandbox.SystemNamespace, Name: keySecret}, Data: map[string][]byte{"check.agekey": sealedKey}}
	if err := m.client.Create(ctx, key); err != nil {
		return err
	}
	bundle := strings.Replace(bundleYAML("check-sealed"), "clusterSelector: {}", "clusterNames: ["+m.name+"]", 1) + "  dependsOn: [{bundle: check-a}]\n"
	commit, _, err := w.commit(ctx, "Something that only one cluster may read", func(folder string) error {
		return errors.Join(write(folder, "bundles/check-sealed/bundle.yaml", bundle), write(folder, "bundles/check-sealed/secret.yaml", sealedManifest))
	})
	if err == nil {
		err = w.settle(ctx, commit)
	}
	if err != nil {
		return err
	}
	var opened corev1.Secret
	if err := m.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: sealedName}, &opened); err != nil {
		return err
	}
	if got := string(opened.Data["password"]); got != sealedPlaintext {
		return fmt.Errorf("the password has %d characters, and is not the one that was sealed", len(got))
	}
	if err := absent(w.cfg.Sandbox.Folder, sealedPlaintext, "hub", "fleet", "fleet.git"); err != nil {
		return err
	}
	commit, _, err = w.commit(ctx, "Nothing secret", func(folder string) error {
		return os.RemoveAll(filepath.Join(folder, "bundles/check-sealed"))
	})
	if err != nil {
		return err
	}
	if err := eventually(ctx, "what was sealed is gone", func() error {
		err := m.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: sealedName}, &corev1.Secret{})
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is there (%v)", err)
		}
		return nil
	}); err != nil {
		return err
	}
	return errors.Join(m.client.Delete(ctx, key), w.settle(ctx, commit))
}

// absent says which files below the folders hold a text.
func absent(root, text string, folders ...string) error {
	var found error
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				// Files come and go while the hub works.
				return nil
			}
			if data, err := os.ReadFile(path); err == nil && bytes.Contains(data, []byte(text)) {
				found = errors.Join(found, fmt.Errorf("%s holds the plaintext of what was sealed", path))
			}
			return nil
		})
		found = errors.Join(found, err)
	}
	return found
}
