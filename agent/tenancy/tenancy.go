// Package tenancy says which ServiceAccounts a tenant's bundles may act as. The cluster's owner lists them in the agent
// chart's value tenants; RBAC lets the agent act as all of these, so that only this list keeps one tenant's bundle from
// acting as the ServiceAccount of another. The reconciler asks it before every pass, with what the hub wants.
package tenancy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
)

// ErrNotAllowed says that the cluster's owner does not allow a tenant the ServiceAccount.
var ErrNotAllowed = errors.New("forbidden")

// Accounts are the ServiceAccounts of each tenant, by the tenant's namespace of the hub. The zero value allows none.
type Accounts struct {
	of map[string][]string
}

// Add reads one "namespace=account". An account of another tenant is refused: what one tenant may do would be what the
// other may.
func (a *Accounts) Add(text string) error {
	namespace, account, ok := strings.Cut(text, "=")
	if !ok {
		return fmt.Errorf("want namespace=account, not %q", text)
	}
	if wrong := validation.ValidateNamespaceName(namespace, false); len(wrong) > 0 {
		return fmt.Errorf("namespace %q: %s", namespace, wrong[0])
	}
	if wrong := validation.ValidateServiceAccountName(account, false); len(wrong) > 0 {
		return fmt.Errorf("account %q: %s", account, wrong[0])
	}
	for other, accounts := range a.of {
		if other != namespace && slices.Contains(accounts, account) {
			return fmt.Errorf("account %q belongs to tenant %q, and cannot be given to %q too", account, other, namespace)
		}
	}
	if a.of == nil {
		a.of = map[string][]string{}
	}
	if !slices.Contains(a.of[namespace], account) {
		a.of[namespace] = append(a.of[namespace], account)
	}
	return nil
}

// Allow is the ServiceAccount that a bundle ("namespace/name") acts as: the named one, or "periplus-tenant-<namespace>"
// when none is named. It must be the bundle's tenant's own; the error names the chart's value that would allow it.
func (a Accounts) Allow(bundle, named string) (string, error) {
	tenant, _, _ := strings.Cut(bundle, "/")
	account, value := named, fmt.Sprintf("tenants[namespace=%s,serviceAccountName=%s]", tenant, named)
	if named == "" {
		account, value = "periplus-tenant-"+tenant, fmt.Sprintf("tenants[namespace=%s]", tenant)
	}
	own := a.of[tenant]
	switch {
	case slices.Contains(own, account):
		return account, nil
	case len(own) == 0:
		return "", fmt.Errorf("%w: tenant %q may not act as ServiceAccount %q: the cluster's owner allows it with the agent chart's value %s",
			ErrNotAllowed, tenant, account, value)
	default:
		// What other tenants have is none of this one's business, so only its own are named.
		return "", fmt.Errorf("%w: tenant %q may not act as ServiceAccount %q, only as %s: name that in spec.serviceAccountName, or the cluster's owner allows the other with the agent chart's value %s",
			ErrNotAllowed, tenant, account, strings.Join(own, " or "), value)
	}
}
