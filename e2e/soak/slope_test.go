package main

import (
	"math"
	"testing"
)

func TestSlope(t *testing.T) {
	cases := map[string]struct {
		reason      string
		points      []point
		per, within float64
		ok          bool
	}{
		"TooFew":   {reason: "two points are a line and no measurement", points: []point{{0, 1}, {1, 2}}},
		"Line":     {reason: "what lies on a line is certain", points: []point{{0, 1}, {1, 3}, {2, 5}}, per: 2, ok: true},
		"Flat":     {reason: "no growth is a slope of 0", points: []point{{0, 4}, {1, 4}, {2, 4}, {3, 4}}, ok: true},
		"Noise":    {reason: "what is off the line widens the interval", points: []point{{0, 1}, {1, 3}, {2, 2}, {3, 3}}, per: 0.5, within: 4.303 * math.Sqrt(1.5/2/5), ok: true},
		"SameTime": {reason: "one moment has no slope", points: []point{{1, 1}, {1, 2}, {1, 3}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			per, within, ok := slope(c.points)
			if math.Abs(per-c.per) > 1e-9 || math.Abs(within-c.within) > 1e-9 || ok != c.ok {
				t.Errorf("%s: got %v ± %v, %v; want %v ± %v, %v", c.reason, per, within, ok, c.per, c.within, c.ok)
			}
		})
	}
}

func TestStudent(t *testing.T) {
	for freedom, want := range map[int]float64{1: 12.706, 2: 4.303, 3: 3.182, 5: 2.571, 10: 2.228, 30: 2.042, 1000: 1.962} {
		if got := student(freedom); math.Abs(got-want) > 0.01*want {
			t.Errorf("at %d degrees of freedom the quantile is %.3f, want %.3f", freedom, got, want)
		}
	}
}
