package tenancy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/periplus-fleet/periplus/agent/tenancy"
)

func accounts(t *testing.T, pairs ...string) tenancy.Accounts {
	t.Helper()
	var a tenancy.Accounts
	for _, pair := range pairs {
		if err := a.Add(pair); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func TestAllow(t *testing.T) {
	pairs := []string{"fleet=periplus-tenant-fleet", "fleet=deployer", "shop=periplus-tenant-shop", "odd=only"}
	cases := map[string]struct {
		reason, bundle, named string
		want                  string
		refused               string
	}{
		"Default":         {reason: "no name means the tenant's default", bundle: "fleet/a", want: "periplus-tenant-fleet"},
		"Second":          {reason: "a tenant may have several", bundle: "fleet/a", named: "deployer", want: "deployer"},
		"Anothers":        {reason: "a bundle of one tenant never acts as another", bundle: "shop/a", named: "periplus-tenant-fleet", refused: "tenants[namespace=shop,serviceAccountName=periplus-tenant-fleet]"},
		"AnothersSecond":  {reason: "neither as its second", bundle: "shop/a", named: "deployer", refused: "only as periplus-tenant-shop"},
		"AgentItself":     {reason: "nor as the agent", bundle: "fleet/a", named: "periplus-agent", refused: "serviceAccountName=periplus-agent]"},
		"UnknownTenant":   {reason: "a tenant that the owner does not list may do nothing", bundle: "other/a", refused: "tenants[namespace=other]"},
		"DefaultNotGiven": {reason: "the default is allowed like any other", bundle: "odd/a", refused: "only as only: name that in spec.serviceAccountName"},
	}
	a := accounts(t, pairs...)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := a.Allow(c.bundle, c.named)
			if got != c.want || (err != nil) != (c.refused != "") {
				t.Fatalf("%s: got %q, %v, want %q", c.reason, got, err, c.want)
			}
			if err != nil && (!errors.Is(err, tenancy.ErrNotAllowed) || !strings.Contains(err.Error(), c.refused)) {
				t.Errorf("%s: error is %v, want one with %q", c.reason, err, c.refused)
			}
		})
	}
	if got, err := (tenancy.Accounts{}).Allow("fleet/a", ""); err == nil {
		t.Errorf("an empty list allows %q", got)
	}
}

func TestAdd(t *testing.T) {
	cases := map[string]struct{ reason, pair, want string }{
		"NoAccount":  {"half a pair is a mistake of the command line", "fleet", "want namespace=account"},
		"BadAccount": {"a name is what becomes of it in the impersonated user", "fleet=a:b", "account"},
		"Empty":      {"", "=", "namespace"},
		"Anothers":   {"two tenants must not share rights", "shop=deployer", `belongs to tenant "fleet"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			a := accounts(t, "fleet=deployer")
			if err := a.Add(c.pair); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: error is %v, want one with %q", c.reason, err, c.want)
			}
		})
	}
}
