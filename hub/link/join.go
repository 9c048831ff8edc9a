package link

import (
	"context"
	"errors"
	"strings"
	"unicode"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/identity"
)

const (
	maxToken = 256
	maxCSR   = 8 << 10
	// maxSaying bounds what an agent says of itself.
	maxSaying = 128
)

// refusals are the codes that an answer of the issuer may have.
var refusals = map[string]codes.Code{
	"UNAUTHENTICATED": codes.Unauthenticated, "ALREADY_EXISTS": codes.AlreadyExists,
	"NOT_FOUND": codes.NotFound, "INVALID_ARGUMENT": codes.InvalidArgument,
	"PERMISSION_DENIED": codes.PermissionDenied,
}

// Join trades a join token for a certificate.
func (s *Service) Join(ctx context.Context, request *linkv1.JoinRequest) (*linkv1.JoinResponse, error) {
	done, err := s.limits.take("Join", address(ctx))
	if err != nil {
		return nil, err
	}
	defer done()
	if request.GetToken() == "" || len(request.GetToken()) > maxToken {
		return nil, status.Error(codes.Unauthenticated, "the join token is not known")
	}
	result, err := s.ask(ctx, identity.Request{Kind: identity.KindJoin, TokenHash: identity.HashToken(request.GetToken()), CSR: request.GetCsr(),
		AgentVersion: clip(request.GetAgentVersion()), Fingerprint: clip(request.GetClusterFingerprint())})
	if err != nil {
		return nil, err
	}
	return &linkv1.JoinResponse{Certificate: result.Certificate, TrustBundle: result.TrustBundle, Endpoints: result.Endpoints,
		FleetId: s.config.Public.FleetID, Cluster: result.Cluster}, nil
}

// clip keeps what an agent says of itself within reason, and such that a store takes it.
func clip(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text[:min(len(text), maxSaying)], ""))
}

// Renew trades a certificate for a fresh one.
func (s *Service) Renew(ctx context.Context, request *linkv1.RenewRequest) (*linkv1.RenewResponse, error) {
	done, err := s.limits.take("Renew", address(ctx))
	if err != nil {
		return nil, err
	}
	defer done()
	agent, err := s.renewing(ctx, request)
	if err != nil {
		return nil, err
	}
	result, err := s.ask(ctx, identity.Request{Kind: identity.KindRenew, CSR: request.GetCsr(), ClusterUID: agent.UID, OldSerial: identity.Serial(agent.Certificate)})
	if err != nil {
		return nil, err
	}
	return &linkv1.RenewResponse{Certificate: result.Certificate, TrustBundle: result.TrustBundle, Endpoints: result.Endpoints}, nil
}

// renewing is who asks: by the connection's certificate, or by an expired one and a proof of its key.
func (s *Service) renewing(ctx context.Context, request *linkv1.RenewRequest) (identity.Agent, error) {
	if len(request.GetExpiredCertificate()) == 0 {
		agent, err := s.authenticate(ctx)
		if err != nil {
			return agent, status.Error(codes.Unauthenticated, status.Convert(err).Message())
		}
		return agent, nil
	}
	agent, err := s.config.Verifier.VerifyExpired(ctx, request.GetExpiredCertificate(), request.GetCsr(), request.GetProof(), request.GetProofTime().AsTime())
	if err != nil {
		return agent, status.Error(codes.Unauthenticated, err.Error())
	}
	return agent, nil
}

func (s *Service) ask(ctx context.Context, request identity.Request) (identity.Result, error) {
	if len(request.CSR) > maxCSR {
		return identity.Result{}, status.Error(codes.InvalidArgument, "the certificate request is too large")
	}
	var err error
	if request.PublicKeyHash, err = identity.KeyHash(request.CSR); err != nil {
		return identity.Result{}, status.Error(codes.InvalidArgument, err.Error())
	}
	result, err := identity.Ask(ctx, s.config.Asker, request)
	switch {
	case errors.Is(err, identity.ErrNoAnswer):
		return result, status.Error(codes.Unavailable, err.Error())
	case err != nil:
		s.config.Log.Warn("cannot ask for a certificate", "kind", request.Kind, "error", err)
		return result, status.Error(codes.Unavailable, "the hub cannot reach its store")
	case result.ErrorCode != "":
		code, ok := refusals[result.ErrorCode]
		if !ok {
			code = codes.Internal
		}
		return result, status.Error(code, result.Error)
	}
	return result, nil
}
