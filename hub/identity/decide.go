package identity

import (
	"crypto/x509"
	"fmt"
	"time"
)

// Codes of refused requests: names of gRPC codes.
const (
	codeUnauthenticated = "UNAUTHENTICATED"
	codeAlreadyExists   = "ALREADY_EXISTS"
	codeNotFound        = "NOT_FOUND"
	codeInvalid         = "INVALID_ARGUMENT"
	codeDenied          = "PERMISSION_DENIED"
)

// Current is a FleetCluster as it is now.
type Current struct {
	Namespace string
	Name      string
	UID       string
	// NotBefore revokes every certificate issued before it.
	NotBefore time.Time
}

// refusal is why no certificate is issued; code "" when one is.
type refusal struct{ code, reason string }

// judge says whether a request may have a certificate. cluster is nil where there is no such FleetCluster; denied is why policy
// denies a join.
func judge(known Known, cluster *Current, denied string, now time.Time) refusal {
	if known.Request.Kind == KindServer {
		return refusal{}
	}
	if known.Request.Kind == KindJoin {
		refused := judgeJoin(known, cluster, now)
		if refused.code == "" && denied != "" {
			// Said only to who has a good token.
			return refusal{codeDenied, denied}
		}
		return refused
	}
	return judgeRenew(known, cluster)
}

func judgeJoin(known Known, cluster *Current, now time.Time) refusal {
	token := known.Token
	switch {
	case token == nil:
		return refusal{codeUnauthenticated, "the join token is not known"}
	case now.After(token.Expires):
		return refusal{codeUnauthenticated, "the join token has expired: make another with `periplus cluster join`"}
	case !known.KeyUsedToken && token.Used >= token.Uses:
		return refusal{codeUnauthenticated, "the join token is used up: make another with `periplus cluster join`"}
	case cluster == nil:
		return refusal{codeNotFound, fmt.Sprintf("there is no FleetCluster %q", token.Namespace+"/"+token.Cluster)}
	case token.ClusterUID != "" && token.ClusterUID != cluster.UID:
		return refusal{codeNotFound, fmt.Sprintf("the join token is for a FleetCluster %q that is gone", token.Namespace+"/"+token.Cluster)}
	}
	for _, certificate := range known.Certificates {
		if certificate.ClusterUID == cluster.UID && certificate.PublicKeyHash != known.Request.PublicKeyHash &&
			alive(certificate, *cluster, now) && !token.Rejoin {
			return refusal{codeAlreadyExists, fmt.Sprintf("cluster %q has a living identity: use `periplus cluster rejoin`", cluster.Namespace+"/"+cluster.Name)}
		}
	}
	return refusal{}
}

// alive says whether an agent may be using the certificate.
func alive(certificate Certificate, cluster Current, now time.Time) bool {
	return !certificate.Revoked && now.Before(certificate.Expires) && !certificate.Issued.Before(cluster.NotBefore)
}

func judgeRenew(known Known, cluster *Current) refusal {
	if cluster == nil || cluster.UID != known.Request.ClusterUID {
		return refusal{codeUnauthenticated, "the certificate's FleetCluster is gone"}
	}
	for _, certificate := range known.Certificates {
		if certificate.Serial != known.Request.OldSerial {
			continue
		}
		switch {
		case certificate.Revoked:
			return refusal{codeUnauthenticated, "the certificate is revoked"}
		case certificate.Issued.Before(cluster.NotBefore):
			return refusal{codeUnauthenticated, "the certificate was issued before the FleetCluster's spec.identity.notBefore"}
		}
		return refusal{}
	}
	// A store that was put back does not know certificates issued since: the chain proves them, notBefore still revokes.
	return refusal{}
}

// issue signs, or says why not.
func issue(ca *CA, public Public, known Known, cluster *Current, denied string, life time.Duration, now time.Time) (Result, Record, error) {
	if refused := judge(known, cluster, denied, now); refused.code != "" {
		return Result{ErrorCode: refused.code, Error: refused.reason}, Record{}, nil
	}
	result := Result{TrustBundle: public.TrustBundle, Endpoints: public.Endpoints}
	var leaf *x509.Certificate
	var err error
	if known.Request.Kind == KindServer {
		result.Certificate, _, err = ca.SignServer(known.Request.CSR, life, now)
	} else {
		name := AgentName{Fleet: ca.FleetID, Namespace: cluster.Namespace, Name: cluster.Name, UID: cluster.UID}
		result.Cluster = name.Cluster()
		result.Certificate, leaf, err = ca.SignAgent(known.Request.CSR, name, life, now)
	}
	if err != nil {
		return Result{ErrorCode: codeInvalid, Error: err.Error()}, Record{}, nil
	}
	if leaf == nil {
		return result, Record{}, nil
	}
	return result, Record{
		Certificate: &Certificate{Serial: Serial(leaf), ClusterUID: cluster.UID, PublicKeyHash: known.Request.PublicKeyHash, Issued: now, Expires: leaf.NotAfter},
		CountUse:    known.Request.Kind == KindJoin, RevokeOthers: known.Request.Kind == KindJoin,
	}, nil
}

// Serial names a certificate in the store: lower-case hex.
func Serial(certificate *x509.Certificate) string { return certificate.SerialNumber.Text(16) }
