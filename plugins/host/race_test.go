//go:build race

package host_test

// raced: the race detector takes several times the memory that a plugin may have.
func init() { raced = true }
