package storetest_test

import (
	"context"
	"testing"

	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/hub/store/storetest"
)

func TestEachDatabaseIsEmptyAndShared(t *testing.T) {
	fleets := map[string]bool{}
	for range 2 {
		storetest.Each(t, func(t *testing.T, open func() *store.Store) {
			one, err := open().Meta(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			two, err := open().Meta(context.Background())
			if err != nil || one.FleetID != two.FleetID {
				t.Fatal("two processes on one database see different fleets", one, two, err)
			}
			if fleets[one.FleetID] {
				t.Fatal("a test sees another test's database")
			}
			fleets[one.FleetID] = true
		})
	}
}
