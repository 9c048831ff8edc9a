package inventory_test

import (
	"context"
	"fmt"
	"net/http"
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
	for _, step := range []struct{ records, secrets int }{{3, 1}, {5000, 16}, {10, 1}, {0, 0}} {
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

// TestManyObjectsFit has one bundle of 10,000 objects, and proves by calls and sizes how many Secrets a change
// writes.
func TestManyObjectsFit(t *testing.T) {
	const etcdLimit = 1 << 20
	env := testenv.Start(t)
	ctx, namespace := context.Background(), env.Namespace(t)
	cluster := kube.New(env.Config, namespace)
	puts := 0
	cluster.Hear(func(call kube.Call) {
		if call.Method == http.MethodPut || call.Method == http.MethodPost {
			puts++
		}
	})
	secrets, err := cluster.Secrets()
	if err != nil {
		t.Fatal(err)
	}
	// The API server leaves an object's version as it is when a write changes nothing, so that calls are counted.
	shards := func() int {
		list, err := secrets.List(ctx, "inventory")
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range list {
			if size := len(secret.Data["records"]); size > etcdLimit/8 {
				t.Errorf("Secret %s holds %d bytes, more than an eighth of what fits", secret.Name, size)
			}
		}
		return len(list)
	}
	store, err := inventory.Open(ctx, secrets)
	if err != nil {
		t.Fatal(err)
	}
	inv := of("fleet/a", 10_000)
	for object, record := range inv.Records {
		// As random as real ones: what repeats would compress better than it does in life.
		record.UID, record.Input, record.Fields = string(content.Sum([]byte("u" + object.Name)))[7:43], string(content.Sum([]byte("i")))[:32], string(content.Sum([]byte("f"+object.Name)))
		inv.Records[object] = record
	}
	if err := store.Save(ctx, inv); err != nil {
		t.Fatal(err)
	}
	change := func(inv *inventory.Inventory, i int) {
		record := inv.Records[id(fmt.Sprintf("c%05d", i))]
		record.Fields = "changed"
		inv.Records[record.ObjectID] = record
	}
	steps := []struct {
		reason  string
		change  func(*inventory.Inventory)
		restart bool
		writes  [2]int
	}{
		{"one object changes in one shard", func(inv *inventory.Inventory) { change(inv, 4711) }, false, [2]int{1, 1}},
		{"a restarted agent knows what the cluster has", func(inv *inventory.Inventory) { change(inv, 815) }, true, [2]int{1, 1}},
		{"what is the bundle's stands in the first shard", func(inv *inventory.Inventory) { inv.Revision = "r2" }, false, [2]int{1, 1}},
		{"a new revision with one object", func(inv *inventory.Inventory) { inv.Revision = "r3"; change(inv, 42) }, false, [2]int{1, 2}},
		{"one object leaves", func(inv *inventory.Inventory) { delete(inv.Records, id("c00007")) }, true, [2]int{1, 1}},
		{"nothing changes", func(*inventory.Inventory) {}, false, [2]int{0, 0}},
	}
	for _, step := range steps {
		before := shards()
		if step.restart {
			if store, err = inventory.Open(ctx, secrets); err != nil {
				t.Fatal(err)
			}
		}
		next := store.Get("fleet/a")
		step.change(&next)
		calls := puts
		if err := store.Save(ctx, next); err != nil {
			t.Fatal(err)
		}
		writes := puts - calls
		if writes < step.writes[0] || writes > step.writes[1] {
			t.Errorf("%s: %d of %d Secrets were written, want %v", step.reason, writes, before, step.writes)
		}
		again, err := inventory.Open(ctx, secrets)
		if err != nil {
			t.Fatal(err)
		}
		if !again.Get("fleet/a").Equal(next) {
			t.Errorf("%s: it came back as something else", step.reason)
		}
	}
}
