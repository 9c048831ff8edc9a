package content

import "strings"

// CapabilityPolicies is that of agents which evaluate policies.
const CapabilityPolicies = "policies.v1"

// policiesName stands where a bundle's name would; no bundle can be called so.
const policiesName = "/@policies"

// PoliciesEntry is the name under which the policies of a cluster of this namespace stand in its desired set.
func PoliciesEntry(namespace string) string { return namespace + policiesName }

// IsPolicies says whether an entry of a desired set is the cluster's policies and no bundle.
func IsPolicies(bundle string) bool { return strings.HasSuffix(bundle, policiesName) }
