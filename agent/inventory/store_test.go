package inventory_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/e2e/testenv"
)

func id(name string) content.ObjectID {
	return content.ObjectID{Kind: "ConfigMap", Namespace: "x", Name: name}
}

func of(bundle string, count int) inventory.Inventory {
	inv := inventory.Inventory{Bundle: bundle, Account: "account", Revision: "r"}.Clone()
	for i := range count {
		name := fmt.Sprintf("c%05d", i)
		inv.Records[id(name)] = inventory.Record{ObjectID: id(name), Version: "v1", Resource: "configmaps", Namespaced: true, UID: "uid-" + name,
			Digest: content.Sum([]byte(name)), Fields: "f"}
	}
	return inv
}

func TestInventoryOutlivesARestart(t *testing.T) {
	env := testenv.Start(t)
	ctx, namespace := context.Background(), env.Namespace(t)
	secrets, err := kube.New(env.Config, namespace).Secrets()
	if err != nil {
		t.Fatal(err)
	}
	count := func() int {
		list, err := kubernetes.NewForConfigOrDie(env.Config).CoreV1().Secrets(namespace).List(ctx, metav1.ListOptions{LabelSelector: kube.PartLabel + "=inventory"})
		if err != nil {
			t.Fatal(err)
		}
		return len(list.Items)
	}
	store, err := inventory.Open(ctx, secrets)
	if err != nil {
		t.Fatal(err)
	}
	// It grows over what a Secret holds, shrinks, and goes; at each step a restart finds it as it was.
	for _, step := range []struct{ records, secrets int }{{3, 1}, {5000, 4}, {10, 1}, {0, 0}} {
		inv := of("fleet/a", step.records)
		if step.records == 0 {
			inv.Revision = ""
		}
		if err := store.Save(ctx, inv); err != nil {
			t.Fatal(err)
		}
		if got := count(); got != step.secrets {
			t.Errorf("%d records take %d Secrets, want %d", step.records, got, step.secrets)
		}
		if store, err = inventory.Open(ctx, secrets); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(inv.Records, store.Get("fleet/a").Records); diff != "" {
			t.Errorf("%d records came back as (-want +got):\n%s", step.records, diff[:min(len(diff), 1000)])
		}
	}
}

func TestOneBundleHasAnObject(t *testing.T) {
	env := testenv.Start(t)
	ctx := context.Background()
	secrets, err := kube.New(env.Config, env.Namespace(t)).Secrets()
	if err != nil {
		t.Fatal(err)
	}
	store, err := inventory.Open(ctx, secrets)
	if err != nil {
		t.Fatal(err)
	}
	object := id("c00000")
	if owner := store.Claim(object, "fleet/a"); owner != "fleet/a" {
		t.Errorf("the first claim went to %q", owner)
	}
	if owner := store.Claim(object, "fleet/b"); owner != "fleet/a" {
		t.Errorf("the second claim went to %q", owner)
	}
	store.Release(object, "fleet/a")
	if owner := store.Claim(object, "fleet/b"); owner != "fleet/b" {
		t.Errorf("after a release the claim went to %q", owner)
	}
	if err := store.Save(ctx, of("fleet/b", 1)); err != nil {
		t.Fatal(err)
	}
	store.Release(object, "fleet/b")
	if owner, record, ok := store.Owner(object); !ok || owner != "fleet/b" || !record.Settled() {
		t.Errorf("a recorded object is %q's: %v", owner, record)
	}
}
