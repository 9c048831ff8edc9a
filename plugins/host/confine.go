package host

import (
	"errors"
	"fmt"

	"github.com/periplus-fleet/periplus/plugins/host/jail"
)

// confinement is how processes are kept off the network, and why they cannot be.
type confinement struct {
	namespaces bool
	unconfined error
}

// confine chooses: namespaces are best, a filter of system calls is as good for the network, and needs a jail to set it.
func (c Config) confine() confinement {
	reason := noNamespaces()
	if reason == nil && !c.NoNamespaces {
		return confinement{namespaces: true}
	}
	if c.NoNamespaces {
		reason = errors.New("namespaces are not to be used")
	}
	if len(c.Jail) == 0 {
		return confinement{unconfined: reason}
	}
	if err := jail.NoNetwork(); err != nil {
		return confinement{unconfined: fmt.Errorf("%w; %w", reason, err)}
	}
	return confinement{}
}
