package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

const (
	// DefaultLifetime of an agent's and a server's certificate.
	DefaultLifetime = 24 * time.Hour
	defaultPoll     = 250 * time.Millisecond
)

// Clusters looks up FleetClusters; nil without an error where there is none.
type Clusters interface {
	CurrentCluster(ctx context.Context, namespace, name string) (*Current, error)
}

// IssuerConfig of an Issuer.
type IssuerConfig struct {
	CA       *CA
	Public   Public
	Queue    Queue
	Clusters Clusters
	// Admit says why policy denies a join, "" when it does not; nil lets all join. An error leaves the request for later.
	Admit func(ctx context.Context, joining Joining) (reason string, err error)
	// Term is the leader's term; 0 while another process leads.
	Term func() uint64
	// Lifetime of certificates, default 24 h. Poll is how often the queue is looked at, default 250 ms.
	Lifetime time.Duration
	Poll     time.Duration
	Log      *slog.Logger
	Now      func() time.Time
}

// Issuer is the control role's loop that answers requests for certificates.
type Issuer struct{ config IssuerConfig }

// NewIssuer makes an Issuer.
func NewIssuer(config IssuerConfig) *Issuer {
	if config.Lifetime == 0 {
		config.Lifetime = DefaultLifetime
	}
	if config.Poll == 0 {
		config.Poll = defaultPoll
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Issuer{config: config}
}

// Run answers requests until ctx ends.
func (i *Issuer) Run(ctx context.Context) error {
	ticker := time.NewTicker(i.config.Poll)
	defer ticker.Stop()
	for {
		if i.config.Term() != 0 {
			if err := i.Answer(ctx); err != nil && ctx.Err() == nil {
				i.config.Log.Warn("cannot answer requests for certificates", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Answer answers all that is pending now.
func (i *Issuer) Answer(ctx context.Context) error {
	pending, err := i.config.Queue.PendingRequests(ctx)
	if err != nil {
		return err
	}
	// One that cannot be answered yet holds up no other.
	var errs []error
	for _, request := range pending {
		if err := i.answer(ctx, request); err != nil {
			errs = append(errs, fmt.Errorf("cannot answer request %q: %w", request.ID, err))
		}
	}
	return errors.Join(errs...)
}

func (i *Issuer) answer(ctx context.Context, request Request) error {
	var cluster *Current
	if request.Kind != KindServer {
		namespace, name, ok, err := i.config.Queue.ClusterOf(ctx, request)
		if err != nil {
			return err
		}
		if ok {
			if cluster, err = i.config.Clusters.CurrentCluster(ctx, namespace, name); err != nil {
				return err
			}
		}
	}
	denied, err := i.admit(ctx, request, cluster)
	if err != nil {
		return err
	}
	var answered Result
	err = i.config.Queue.Issue(ctx, i.config.Term(), request.ID, func(known Known) (Result, Record, error) {
		result, record, err := issue(i.config.CA, i.config.Public, known, cluster, denied, i.config.Lifetime, i.config.Now())
		answered = result
		return result, record, err
	})
	if err == nil && request.Kind != KindServer {
		i.config.Log.Info("answered request for a certificate", "kind", request.Kind, "cluster", answered.Cluster, "refused", answered.Error)
	}
	return err
}

func (i *Issuer) admit(ctx context.Context, request Request, cluster *Current) (string, error) {
	if i.config.Admit == nil || request.Kind != KindJoin || cluster == nil {
		return "", nil
	}
	return i.config.Admit(ctx, Joining{Namespace: cluster.Namespace, Name: cluster.Name, AgentVersion: request.AgentVersion, Fingerprint: request.Fingerprint})
}
