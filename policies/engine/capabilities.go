package engine

import (
	"slices"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

// allowedPrefixes and allowedNames list the built-in functions that policies may call: pure ones. A new release of OPA
// brings new functions; they stay out until someone looked at them.
var (
	allowedPrefixes = []string{"array.", "base64.", "base64url.", "bits.", "glob.", "graph.", "hex.", "object.", "regex.", "semver.",
		"strings.", "time.", "units.", "urlquery.", "uri."}
	allowedNames = []string{
		"abs", "all", "and", "any", "assign", "cast_array", "cast_boolean", "cast_null", "cast_object", "cast_set", "cast_string", "ceil", "concat",
		"contains", "count", "crypto.md5", "crypto.sha1", "crypto.sha256", "crypto.x509.parse_certificates", "div", "endswith", "eq",
		"equal", "floor", "format_int", "gt", "gte", "indexof", "indexof_n", "internal.member_2", "internal.member_3",
		"internal.print", "internal.test_case", "internal.template_string", "intersection", "is_array", "is_boolean", "is_null", "is_number",
		"is_object", "is_set", "is_string", "json.filter", "json.is_valid", "json.marshal", "json.patch", "json.remove",
		"json.unmarshal", "lower", "lt", "lte", "max", "min", "minus", "mul", "neq", "net.cidr_contains",
		"net.cidr_contains_matches", "net.cidr_intersects", "net.cidr_is_valid", "net.cidr_merge", "net.cidr_overlap", "numbers.range",
		"numbers.range_step", "or", "plus", "print", "product", "re_match", "rego.metadata.chain", "rego.metadata.rule", "rem", "replace", "round", "set_diff", "sort", "split", "sprintf", "startswith",
		"substring", "sum", "to_number", "trace", "trim", "trim_left", "trim_prefix", "trim_right", "trim_space", "trim_suffix",
		"type_name", "union", "upper", "uuid.parse", "walk", "yaml.is_valid", "yaml.unmarshal",
	}
)

// capabilities of policies. The compiler only reads them, so one serves all.
var capabilities = sync.OnceValue(func() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.AllowNet = []string{}
	c.Builtins = slices.DeleteFunc(slices.Clone(c.Builtins), func(b *ast.Builtin) bool { return !allowed(b.Name) })
	return c
})

func allowed(name string) bool {
	return slices.Contains(allowedNames, name) ||
		slices.ContainsFunc(allowedPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// Capabilities are what Rego may use in Periplus; read only.
func Capabilities() *ast.Capabilities { return capabilities() }
