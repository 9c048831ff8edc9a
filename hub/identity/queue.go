package identity

import (
	"context"
	"time"
)

// Kinds of requests for a certificate.
const (
	KindJoin   = "join"
	KindRenew  = "renew"
	KindServer = "server"
)

// Request asks the control role for a certificate.
type Request struct {
	ID            string
	Kind          string
	TokenHash     string
	PublicKeyHash string
	CSR           []byte
	// ClusterUID and OldSerial are those of the certificate that is renewed.
	ClusterUID string
	OldSerial  string
	// AgentVersion and Fingerprint are what an agent that joins says of itself.
	AgentVersion string
	Fingerprint  string
}

// Joining is a cluster that joins, as policies see it.
type Joining struct {
	Namespace, Name           string
	AgentVersion, Fingerprint string
}

// Token is a join token as the store counts it.
type Token struct {
	Hash       string
	Namespace  string
	Cluster    string
	ClusterUID string
	Expires    time.Time
	Uses       int
	Rejoin     bool
	// Used is how many keys joined with it.
	Used int
}

// Certificate is one that was issued.
type Certificate struct {
	Serial        string
	ClusterUID    string
	PublicKeyHash string
	Issued        time.Time
	Expires       time.Time
	Revoked       bool
}

// Result answers a request. ErrorCode is the name of a gRPC code, "" where Certificate was issued.
type Result struct {
	Certificate []byte
	TrustBundle []byte
	Endpoints   []string
	// Cluster is namespace/name.
	Cluster   string
	ErrorCode string
	Error     string
}

// Record is what an issuance changes beside its answer, in the same transaction.
type Record struct {
	Certificate *Certificate
	// CountUse counts a use of the request's token by its public key; the same key again is not a new use.
	CountUse bool
	// RevokeOthers revokes the cluster's certificates of other keys.
	RevokeOthers bool
}

// Known is what the store knows when a request is decided, read in the transaction that answers it.
type Known struct {
	Request Request
	// Token is nil where the request's is not known.
	Token *Token
	// KeyUsedToken says that this public key joined with the token before.
	KeyUsedToken bool
	Certificates []Certificate
}

// Asker is the queue's side of the link and api roles.
type Asker interface {
	RequestCertificate(ctx context.Context, request Request) error
	IssueAnswer(ctx context.Context, id string) (result Result, done bool, err error)
}

// Queue is the queue's side of the control role.
type Queue interface {
	PendingRequests(ctx context.Context) ([]Request, error)
	// ClusterOf names (namespace, name) whose certificate a request is about, by token or uid; ok is false where unknown.
	ClusterOf(ctx context.Context, request Request) (namespace, name string, ok bool, err error)
	// Issue decides and answers in one transaction, refused when term is not the leader's.
	Issue(ctx context.Context, term uint64, id string, decide func(Known) (Result, Record, error)) error
}
