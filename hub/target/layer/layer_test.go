package layer_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/hub/target/layer"
)

type m = map[string]any

func layers(values ...map[string]any) []layer.Layer {
	var out []layer.Layer
	for i, one := range values {
		name := string(rune('a' + i))
		out = append(out, layer.Layer{Name: name, Values: one, Source: func(path string) string { return name + ":" + path }})
	}
	return out
}

func TestMerge(t *testing.T) {
	cases := map[string]struct {
		reason string
		layers []layer.Layer
		want   m
		fails  string
	}{
		"None":          {reason: "No values at all are no map.", layers: layers(nil, m{})},
		"Maps":          {reason: "Maps merge, lists and scalars replace.", layers: layers(m{"a": m{"b": 1, "c": 2}, "l": []any{1}}, m{"a": m{"c": 3}, "l": []any{2}}), want: m{"a": m{"b": 1, "c": 3}, "l": []any{2}}},
		"Null":          {reason: "A null goes to the renderer.", layers: layers(m{"a": 1}, m{"a": nil}), want: m{"a": nil}},
		"Kinds":         {reason: "A map replaces a scalar, and the other way round.", layers: layers(m{"a": 1, "b": m{"x": 1}}, m{"a": m{"y": 2}, "b": 2}), want: m{"a": m{"y": 2}, "b": 2}},
		"Set":           {reason: "$set replaces a map whole.", layers: layers(m{"a": m{"b": 1, "c": 2}}, m{"a": m{"$set": m{"d": 3}}}), want: m{"a": m{"d": 3}}},
		"SetEmpty":      {reason: "Also by an empty one.", layers: layers(m{"a": m{"b": 1}}, m{"a": m{"$set": m{}}}), want: m{"a": m{}}},
		"Unset":         {reason: "$unset is as if no layer had named the key.", layers: layers(m{"a": m{"b": 1, "c": 2}}, m{"a": m{"b": m{"$unset": true}}}), want: m{"a": m{"c": 2}}},
		"UnsetAll":      {reason: "And leaves nothing of a last key.", layers: layers(m{"a": 1}, m{"a": m{"$unset": true}})},
		"Again":         {reason: "A later layer may name it again.", layers: layers(m{"a": 1}, m{"a": m{"$unset": true}}, m{"a": 2}), want: m{"a": 2}},
		"Append":        {reason: "$append adds to a list.", layers: layers(m{"a": []any{1}}, m{"a": m{"$append": []any{2}}}, m{"a": m{"$append": []any{3}}}), want: m{"a": []any{1, 2, 3}}},
		"AppendNew":     {reason: "Or begins one.", layers: layers(m{"a": m{"$append": []any{2}}}), want: m{"a": []any{2}}},
		"AppendNull":    {reason: "A null below is no list and no obstacle.", layers: layers(m{"a": nil}, m{"a": m{"$append": []any{2}}}), want: m{"a": []any{2}}},
		"AppendScalar":  {reason: "Nothing is added to what is no list.", layers: layers(m{"a": 1}, m{"a": m{"$append": []any{2}}}), fails: "a.$append"},
		"Literal":       {reason: "A doubled $ is one.", layers: layers(m{"a": m{"$$set": 1, "b": 2}}), want: m{"a": m{"$set": 1, "b": 2}}},
		"Nested":        {reason: "Operators work at any depth, also of a first layer.", layers: layers(m{"a": m{"$set": m{"b": m{"$append": []any{1}}}}}), want: m{"a": m{"b": []any{1}}}},
		"NotAlone":      {reason: "An operator has no neighbours.", layers: layers(m{"a": m{"$set": 1, "b": 2}}), fails: "a.$set"},
		"UnsetFalse":    {reason: "$unset takes true.", layers: layers(m{"a": m{"$unset": false}}), fails: "a.$unset"},
		"AppendNoList":  {reason: "$append takes a list.", layers: layers(m{"a": m{"$append": 1}}), fails: "a.$append"},
		"Plain":         {reason: "A chart's own files know no operators.", layers: []layer.Layer{{Values: m{"a": m{"$set": 1, "$$set": 2}}, Plain: true}}, want: m{"a": m{"$set": 1, "$$set": 2}}},
		"EmptyOverFull": {reason: "An empty map adds nothing.", layers: layers(m{"a": m{"b": 1}}, m{"a": m{}}), want: m{"a": m{"b": 1}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := layer.Merge(tc.layers)
			var failed *layer.Error
			if tc.fails != "" {
				if !errors.As(err, &failed) || failed.Path != tc.fails {
					t.Fatalf("%s\nwant an error at %s, got %v, %v", tc.reason, tc.fails, got, err)
				}
				return
			}
			if diff := cmp.Diff(tc.want, got); err != nil || diff != "" {
				t.Errorf("%s: %v\n%s", tc.reason, err, diff)
			}
		})
	}
}

func TestMergeLeavesLayersAlone(t *testing.T) {
	low := m{"a": m{"l": []any{1}}}
	if _, err := layer.Merge(layers(low, m{"a": m{"l": m{"$append": []any{2}}, "x": 1}})); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m{"a": m{"l": []any{1}}}, low); diff != "" {
		t.Error(diff)
	}
}

func TestExplain(t *testing.T) {
	all := layers(m{"a": m{"b": 1, "c": 2}, "l": []any{1}, "s": 1}, m{"a": m{"b": 5}, "l": m{"$append": []any{2}}, "s": m{"x": 1}, "gone": m{"$unset": true}},
		m{"a": m{"$set": m{"b": 7}}, "p": "hidden"})
	all[2].Secret = true
	got, err := layer.Explain(all)
	if err != nil {
		t.Fatal(err)
	}
	low, middle := layer.Leaf{Path: "a.b", Value: 1, Layer: "a", Source: "a:a.b"}, layer.Leaf{Path: "a.b", Value: 5, Layer: "b", Source: "b:a.b"}
	want := []layer.Leaf{
		{Path: "a.b", Layer: "c", Source: "c:a.$set.b", Secret: true, Overrode: []layer.Leaf{middle, low}},
		{Path: "gone", Unset: true, Layer: "b", Source: "b:gone.$unset"},
		{Path: "l", Value: []any{1, 2}, Layer: "b", Source: "b:l.$append", Overrode: []layer.Leaf{{Path: "l", Value: []any{1}, Layer: "a", Source: "a:l"}}},
		{Path: "p", Layer: "c", Source: "c:p", Secret: true},
		{Path: "s.x", Value: 1, Layer: "b", Source: "b:s.x", Overrode: []layer.Leaf{{Path: "s", Value: 1, Layer: "a", Source: "a:s"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCheck(t *testing.T) {
	problems := layer.Check(m{"$set": m{}, "a": m{"b": m{"$unset": 1}}, "ok": m{"$append": "${{ x }}"}, "bad": m{"$append": "x"}},
		func(text string) bool { return text == "${{ x }}" })
	var got []string
	for _, problem := range problems {
		got = append(got, problem.Path)
	}
	if diff := cmp.Diff([]string{"$set", "a.b.$unset", "bad.$append"}, got); diff != "" {
		t.Error(diff)
	}
}
