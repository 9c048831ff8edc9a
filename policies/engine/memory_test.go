package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// TestMemory compares it with OPA's own cache over random histories.
func TestMemory(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		ref := func() ast.Ref {
			r := ast.Ref{ast.DefaultRootDocument}
			for range 1 + random.IntN(7) {
				r = append(r, ast.StringTerm(fmt.Sprint(random.IntN(3))))
			}
			return r
		}
		ours, theirs, depth := (&memory{}).reset(), topdown.NewVirtualCache(), 0
		for step := range 400 {
			switch at := ref(); random.IntN(12) {
			case 0:
				ours.Push()
				theirs.Push()
				depth++
			case 1:
				if depth > 0 {
					ours.Pop()
					theirs.Pop()
					depth--
				}
			case 2, 3, 4, 5:
				var value *ast.Term
				if random.IntN(4) > 0 {
					value = ast.IntNumberTerm(step)
				}
				// The evaluator changes its references when it goes on.
				again := append(ast.Ref{}, at...)
				ours.Put(again, value)
				clear(again)
				theirs.Put(at, value)
			default:
				gotValue, gotUndefined := ours.Get(at)
				value, undefined := theirs.Get(at)
				if gotValue != value || gotUndefined != undefined {
					t.Fatalf("seed %d, step %d: %s is %v, %v; want %v, %v", seed, step, at, gotValue, gotUndefined, value, undefined)
				}
			}
			if got, want := len(ours.Keys()), len(theirs.Keys()); got != want {
				t.Fatalf("seed %d, step %d: %d keys, want %d", seed, step, got, want)
			}
		}
	}
}

func TestStopping(t *testing.T) {
	ended, end := context.WithCancel(context.Background())
	end()
	cases := map[string]struct {
		reason        string
		ctx           context.Context
		until         time.Time
		want, expired bool
	}{
		"InTime":   {"", context.Background(), time.Now().Add(time.Hour), false, false},
		"Expired":  {"the time of a review is over", context.Background(), time.Now().Add(-1), true, true},
		"Canceled": {"nobody waits for the answer", ended, time.Now().Add(time.Hour), true, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, got := stopping{ctx: c.ctx, until: c.until}, false
			for range lookEvery {
				got = s.Cancelled()
			}
			if got != c.want || s.expired != c.expired {
				t.Errorf("%s: want %v, %v; got %v, %v", c.reason, c.want, c.expired, got, s.expired)
			}
		})
	}
}

// TestReviewEnds stops a policy that would work for hours.
func TestReviewEnds(t *testing.T) {
	s := load(t, Source{Modules: []File{policy("p", "deny contains \"x\" if {\n\tsome a in numbers.range(1, 1000)\n\tsome b in numbers.range(1, 1000)\n\tsome c in numbers.range(1, 1000)\n\tsome d in numbers.range(1, 1000)\n\tcount(input.name) == (((a + b) + c) + d) + 9999\n}")}})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	started := time.Now()
	if _, err := s.Review(ctx, Input{Object: object("v1", "ConfigMap", "c", nil)}, "", PointGate, now); err == nil || time.Since(started) > time.Second {
		t.Errorf("want the context's error at once, got %v after %s", err, time.Since(started))
	}
}
