package statusapi

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/rollout"
	"github.com/periplus-fleet/periplus/hub/store"
)

const (
	tokenLife    = time.Hour
	tokenLifeMax = 7 * 24 * time.Hour
	commandLife  = 30 * time.Second
)

// SyncRepo asks the control role to read the repository now, and answers with the commit in force when the remote was read.
func (s *Service) SyncRepo(ctx context.Context, request *statusv1.GetRequest) (*statusv1.SyncRepoResponse, error) {
	if err := s.authz.require(ctx, "SyncRepo", request.GetNamespace()); err != nil {
		return nil, err
	}
	key := client.ObjectKey{Namespace: request.GetNamespace(), Name: request.GetName()}
	var repo v1alpha1.FleetRepo
	if err := s.cfg.Client.Get(ctx, key, &repo); err != nil {
		return nil, unavailable(err)
	}
	if err := s.audit(ctx, "sync", "fleetrepos", key.Namespace, key.Name, ""); err != nil {
		return nil, err
	}
	asked := s.cfg.Now()
	patch := client.MergeFrom(repo.DeepCopy())
	metav1.SetMetaDataAnnotation(&repo.ObjectMeta, v1alpha1.AnnotationSync, asked.UTC().Format(time.RFC3339Nano))
	if err := s.cfg.Client.Patch(ctx, &repo, patch); err != nil {
		return nil, unavailable(err)
	}
	deadline := time.NewTimer(commandLife)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := s.cfg.Client.Get(ctx, key, &repo); err != nil {
			return nil, unavailable(err)
		}
		if repo.Status.LastSync == repo.Annotations[v1alpha1.AnnotationSync] {
			return &statusv1.SyncRepoResponse{Commit: repo.Status.FetchedCommit}, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-deadline.C:
			return nil, status.Errorf(codes.DeadlineExceeded, "repository %q was not read within %s: see its conditions", key.Name, commandLife)
		case <-tick.C:
		}
	}
}

// CreateJoinToken makes a token for one cluster; it is shown in the answer and nowhere else.
func (s *Service) CreateJoinToken(ctx context.Context, request *statusv1.CreateJoinTokenRequest) (*statusv1.CreateJoinTokenResponse, error) {
	if err := s.authz.require(ctx, "CreateJoinToken", request.GetNamespace()); err != nil {
		return nil, err
	}
	life := tokenLife
	if text := request.GetExpiresIn(); text != "" {
		var err error
		if life, err = time.ParseDuration(text); err != nil || life <= 0 || life > tokenLifeMax {
			return nil, status.Errorf(codes.InvalidArgument, "expires_in %q: want a duration such as 30m, at most %s", text, tokenLifeMax)
		}
	}
	var cluster v1alpha1.FleetCluster
	if err := s.cfg.Client.Get(ctx, client.ObjectKey{Namespace: request.GetNamespace(), Name: request.GetCluster()}, &cluster); err != nil {
		return nil, unavailable(err)
	}
	if err := s.audit(ctx, "create", "jointokens", request.GetNamespace(), request.GetCluster(), "expires in "+life.String()); err != nil {
		return nil, err
	}
	name, token, expires, err := s.cfg.Tokens.Create(ctx, request.GetNamespace(), request.GetCluster(), life, request.GetRejoin())
	if err != nil {
		return nil, unavailable(err)
	}
	return &statusv1.CreateJoinTokenResponse{Name: name, Token: token, Endpoints: s.cfg.Endpoints, CaHash: s.cfg.CAHash, Expires: stamp(expires)}, nil
}

// ListJoinTokens lists the JoinTokens; the tokens themselves are stored nowhere.
func (s *Service) ListJoinTokens(ctx context.Context, request *statusv1.ListRequest) (*statusv1.ListJoinTokensResponse, error) {
	query, err := s.query(ctx, "ListJoinTokens", request)
	if err != nil {
		return nil, err
	}
	response := &statusv1.ListJoinTokensResponse{}
	for _, namespace := range query.Namespaces {
		var list v1alpha1.JoinTokenList
		if err := s.cfg.Client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return nil, unavailable(err)
		}
		for i := range list.Items {
			token := &list.Items[i]
			response.Items = append(response.Items, &statusv1.JoinToken{Namespace: token.Namespace, Name: token.Name,
				Cluster: token.Spec.Cluster, Expires: stamp(token.Spec.Expires.Time), Uses: token.Status.Uses, MaxUses: token.Spec.Uses})
		}
	}
	response.Total = int64(len(response.Items))
	return response, nil
}

// RevokeJoinToken ends a token; clusters that joined with it stay.
func (s *Service) RevokeJoinToken(ctx context.Context, request *statusv1.GetRequest) (*statusv1.RevokeJoinTokenResponse, error) {
	if err := s.authz.require(ctx, "RevokeJoinToken", request.GetNamespace()); err != nil {
		return nil, err
	}
	if err := s.audit(ctx, "revoke", "jointokens", request.GetNamespace(), request.GetName(), ""); err != nil {
		return nil, err
	}
	if err := s.cfg.Tokens.Revoke(ctx, request.GetNamespace(), request.GetName()); err != nil {
		return nil, unavailable(err)
	}
	return &statusv1.RevokeJoinTokenResponse{}, nil
}

// RevokeCluster ends every certificate issued to the cluster's agent so far, in the FleetCluster too, so that a restore of
// the store does not bring them back, and every join token that would let it in again.
func (s *Service) RevokeCluster(ctx context.Context, request *statusv1.GetRequest) (*statusv1.RevokeClusterResponse, error) {
	if err := s.authz.require(ctx, "RevokeCluster", request.GetNamespace()); err != nil {
		return nil, err
	}
	var cluster v1alpha1.FleetCluster
	if err := s.cfg.Client.Get(ctx, client.ObjectKey{Namespace: request.GetNamespace(), Name: request.GetName()}, &cluster); err != nil {
		return nil, unavailable(err)
	}
	if err := s.audit(ctx, "revoke", "fleetclusters/identity", cluster.Namespace, cluster.Name, ""); err != nil {
		return nil, err
	}
	if err := s.revokeTokensOf(ctx, &cluster); err != nil {
		return nil, unavailable(err)
	}
	now := metav1.NewTime(s.cfg.Now().Truncate(time.Second).Add(time.Second))
	patch := client.MergeFrom(cluster.DeepCopy())
	cluster.Spec.Identity.NotBefore = &now
	if err := s.cfg.Client.Patch(ctx, &cluster, patch); err != nil {
		return nil, unavailable(err)
	}
	if err := s.cfg.Store.RevokeCertificates(ctx, string(cluster.UID), now.Time); err != nil {
		return nil, unavailable(err)
	}
	return &statusv1.RevokeClusterResponse{}, nil
}

// revokeTokensOf a cluster: whoever is to be kept out may hold one that was not used yet.
func (s *Service) revokeTokensOf(ctx context.Context, cluster *v1alpha1.FleetCluster) error {
	var tokens v1alpha1.JoinTokenList
	if err := s.cfg.Client.List(ctx, &tokens, client.InNamespace(cluster.Namespace)); err != nil {
		return err
	}
	for i := range tokens.Items {
		token := &tokens.Items[i]
		if token.Spec.Cluster != cluster.Name {
			continue
		}
		if err := s.cfg.Tokens.Revoke(ctx, token.Namespace, token.Name); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// Confirm releases what waits for a person.
func (s *Service) Confirm(ctx context.Context, request *statusv1.ConfirmRequest) (*statusv1.ConfirmResponse, error) {
	namespace := request.GetNamespace()
	if err := s.authz.require(ctx, "Confirm", namespace); err != nil {
		return nil, err
	}
	if request.GetCause() != "" {
		return s.confirmCause(ctx, namespace, request.GetCause())
	}
	for field, value := range map[string]string{"cluster": request.GetCluster(), "bundle": request.GetBundle()} {
		if err := required(field, value); err != nil {
			return nil, err
		}
	}
	d, row, err := s.pair(ctx, "Confirm", namespace, request.GetCluster(), request.GetBundle())
	if err != nil {
		return nil, err
	}
	hold := d.Observed.PruneHold
	if hold == nil {
		return nil, status.Errorf(codes.FailedPrecondition, "bundle %q on cluster %q waits for no confirmation", request.GetBundle(), request.GetCluster())
	}
	if request.GetHold() != "" && request.GetHold() != hold.ID {
		return nil, status.Errorf(codes.FailedPrecondition, "what waits has changed since: it is hold %s of %d objects now; look again", hold.ID, hold.Objects)
	}
	if err := s.audit(ctx, "confirm", "deliveries", namespace, request.GetCluster()+"/"+request.GetBundle(), "hold "+hold.ID); err != nil {
		return nil, err
	}
	return &statusv1.ConfirmResponse{Released: 1}, s.command(ctx, row.UID, &linkv1.Command{Command: &linkv1.Command_ConfirmPrune{
		ConfirmPrune: &linkv1.ConfirmPrune{Bundle: string(d.Bundle), HoldId: hold.ID, Actor: UserOf(ctx).Name}}})
}

func (s *Service) confirmCause(ctx context.Context, namespace, cause string) (*statusv1.ConfirmResponse, error) {
	holds, err := s.removalHolds(ctx, []string{namespace})
	if err != nil {
		return nil, err
	}
	var released int32
	for _, hold := range holds {
		if hold.GetId() == cause {
			released++
		}
	}
	if released == 0 {
		return nil, status.Errorf(codes.NotFound, "no removal waits for cause %q", cause)
	}
	if err := s.audit(ctx, "confirm", "deliveries", namespace, cause, "removals"); err != nil {
		return nil, err
	}
	err = s.cfg.Store.PutWord(ctx, store.Word{Namespace: namespace, Kind: store.WordConfirm, Subject: cause, Decision: "confirm",
		Actor: UserOf(ctx).Name, Time: s.cfg.Now()})
	if err != nil {
		return nil, unavailable(err)
	}
	return &statusv1.ConfirmResponse{Released: released}, nil
}

// command hands a command to the cluster's agent and waits for its answer.
func (s *Service) command(ctx context.Context, uid string, command *linkv1.Command) error {
	command.Id = uuid.NewString()
	command.Deadline = timestamppb.New(s.cfg.Now().Add(commandLife))
	if err := s.cfg.Store.PutCommand(ctx, uid, command); err != nil {
		return unavailable(err)
	}
	deadline := time.NewTimer(commandLife)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		text, done, err := s.cfg.Store.CommandAnswer(ctx, command.GetId())
		switch {
		case err != nil:
			return unavailable(err)
		case done && text != "":
			return status.Error(codes.FailedPrecondition, text)
		case done:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return status.Error(codes.DeadlineExceeded, "the cluster's agent did not answer in time: is the cluster connected?")
		case <-tick.C:
		}
	}
}

// ListHolds lists what waits for a person's word.
func (s *Service) ListHolds(ctx context.Context, request *statusv1.ListRequest) (*statusv1.ListHoldsResponse, error) {
	query, err := s.query(ctx, "ListHolds", request)
	if err != nil {
		return nil, err
	}
	response := &statusv1.ListHoldsResponse{}
	for _, namespace := range query.Namespaces {
		deliveries, err := s.cfg.Store.Deliveries(ctx, store.DeliveryFilter{Namespace: namespace})
		if err != nil {
			return nil, unavailable(err)
		}
		for _, d := range deliveries {
			if hold := d.Observed.PruneHold; hold != nil {
				response.Items = append(response.Items, &statusv1.Hold{Namespace: d.Namespace, Cluster: d.Cluster, Bundle: string(d.Bundle),
					Kind: "prune", Id: hold.ID, Objects: hold.Objects, Message: d.Observed.Message})
			}
		}
	}
	removals, err := s.removalHolds(ctx, query.Namespaces)
	if err != nil {
		return nil, err
	}
	response.Items = append(response.Items, removals...)
	response.Total = int64(len(response.Items))
	return response, nil
}

func (s *Service) removalHolds(ctx context.Context, namespaces []string) ([]*statusv1.Hold, error) {
	var out []*statusv1.Hold
	for _, namespace := range namespaces {
		deliveries, err := s.cfg.Store.Deliveries(ctx, store.DeliveryFilter{Namespace: namespace})
		if err != nil {
			return nil, unavailable(err)
		}
		for _, d := range deliveries {
			if d.Reason != rollout.ReasonRemovalHeld {
				continue
			}
			_, cause, _ := strings.Cut(d.Message, "--cause ")
			out = append(out, &statusv1.Hold{Namespace: d.Namespace, Cluster: d.Cluster, Bundle: string(d.Bundle), Kind: "removal",
				Id: cause, Message: d.Message})
		}
	}
	return out, nil
}

// RecoverPlan shows which clusters are relearned and what on them nobody declares.
func (s *Service) RecoverPlan(ctx context.Context, request *statusv1.RecoverRequest) (*statusv1.RecoverPlanResponse, error) {
	if err := s.authz.require(ctx, "RecoverPlan", request.GetNamespace()); err != nil {
		return nil, err
	}
	return s.plan(ctx, request)
}

func (s *Service) plan(ctx context.Context, request *statusv1.RecoverRequest) (*statusv1.RecoverPlanResponse, error) {
	pending, err := s.cfg.Store.Relearning(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	response := &statusv1.RecoverPlanResponse{}
	for _, item := range pending {
		cluster := item.Cluster
		if cluster.Namespace != request.GetNamespace() || (request.GetCluster() != "" && request.GetCluster() != cluster.Name) {
			continue
		}
		view := &statusv1.RecoverCluster{Cluster: cluster.Name, State: "Waiting", Message: "waits for the agent's report"}
		if item.Report != nil {
			if err := s.unclaimed(ctx, cluster.UID, item, view); err != nil {
				return nil, err
			}
		}
		response.Clusters = append(response.Clusters, view)
	}
	return response, nil
}

// unclaimed lists what the agent reported and no bundle in force has a target for.
func (s *Service) unclaimed(ctx context.Context, uid string, item store.Relearn, view *statusv1.RecoverCluster) error {
	deliveries, err := s.cfg.Store.Deliveries(ctx, store.DeliveryFilter{ClusterUID: uid})
	if err != nil {
		return unavailable(err)
	}
	declared := map[string]bool{}
	for _, d := range deliveries {
		if d.Target.Revision != "" && d.Tombstone == nil {
			declared[string(d.Bundle)] = true
		}
	}
	for _, entry := range item.Report.GetEntries() {
		if !declared[entry.GetBundle()] {
			view.Unclaimed = append(view.Unclaimed, entry.GetBundle())
		}
	}
	view.State, view.Message = "Reported", "ends by itself: nothing would be removed"
	if len(view.Unclaimed) > 0 {
		view.State = "Unclaimed"
		view.Message = "nobody declares these: `periplus recover accept` removes them, `periplus recover orphan` leaves their objects"
	}
	return nil
}

// Recover records a person's decision about unclaimed bundles; the control role carries it out.
func (s *Service) Recover(ctx context.Context, request *statusv1.RecoverRequest) (*statusv1.RecoverPlanResponse, error) {
	if err := s.authz.require(ctx, "Recover", request.GetNamespace()); err != nil {
		return nil, err
	}
	decision := request.GetDecision()
	if decision != "accept" && decision != "orphan" {
		return nil, status.Errorf(codes.InvalidArgument, "decision %q: want accept or orphan", decision)
	}
	before, err := s.plan(ctx, request)
	if err != nil {
		return nil, err
	}
	if len(before.GetClusters()) == 0 {
		// A word that nothing waits for would decide about the next restore.
		return nil, status.Error(codes.FailedPrecondition, "no such cluster is being relearned: there is nothing to decide")
	}
	if err := s.audit(ctx, "recover", "recovery", request.GetNamespace(), request.GetCluster(), decision); err != nil {
		return nil, err
	}
	err = s.cfg.Store.PutWord(ctx, store.Word{Namespace: request.GetNamespace(), Kind: store.WordRecover, Subject: request.GetCluster(),
		Decision: decision, Actor: UserOf(ctx).Name, Time: s.cfg.Now()})
	if err != nil {
		return nil, unavailable(err)
	}
	return s.plan(ctx, request)
}

// GetVersion says what the hub is.
func (s *Service) GetVersion(ctx context.Context, _ *statusv1.GetVersionRequest) (*statusv1.Version, error) {
	if err := s.authz.require(ctx, "GetVersion", ""); err != nil {
		return nil, err
	}
	meta, err := s.cfg.Store.Meta(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	return &statusv1.Version{Version: s.cfg.Version, Commit: s.cfg.Commit, FleetId: meta.FleetID, Epoch: meta.Epoch}, nil
}
