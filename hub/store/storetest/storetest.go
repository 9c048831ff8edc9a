// Package storetest gives tests a store on every database that the hub supports: SQLite in a file of the test's own, and
// PostgreSQL in a database of the test's own. Package store says what must hold on both; its tests run through Each.
package storetest

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"

	"github.com/periplus-fleet/periplus/hub/store"
)

// Key of the stores that tests open.
var Key = bytes.Repeat([]byte{7}, store.KeySize)

// New is a store on SQLite, closed with the test.
func New(t testing.TB) *store.Store {
	t.Helper()
	return Open(t, store.Config{URL: SQLite(t)})
}

// Open opens a store with the tests' key and closes it with the test.
func Open(t testing.TB, cfg store.Config) *store.Store {
	t.Helper()
	cfg.Key = Key
	s, err := store.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// SQLite is the address of a database that lives as long as the test.
func SQLite(t testing.TB) string {
	return "sqlite://" + filepath.Join(t.TempDir(), "hub.db")
}

// EachURL runs a test with the address of an empty database of each kind.
func EachURL(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("SQLite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, Postgres(t)) })
}

// Each runs a test on each kind of database. Every call of open is one more hub process on the same database.
func Each(t *testing.T, test func(t *testing.T, open func() *store.Store)) {
	EachURL(t, func(t *testing.T, url string) {
		test(t, func() *store.Store {
			t.Helper()
			return Open(t, store.Config{URL: url})
		})
	})
}
