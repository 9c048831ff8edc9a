package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// Token is a join token as it is counted; the token itself is stored nowhere.
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

// IssueRequest is a request for a certificate: kind join, renew or server.
type IssueRequest struct {
	ID            string
	Kind          string
	TokenHash     string
	PublicKeyHash string
	CSR           []byte
	ClusterUID    string
	OldSerial     string
	// AgentVersion and Fingerprint are what an agent that joins says of itself.
	AgentVersion string
	Fingerprint  string
}

// IssueResult answers a request; ErrorCode is the name of a gRPC code, "" where a certificate was issued.
type IssueResult struct {
	Certificate []byte
	TrustBundle []byte
	Endpoints   []string
	Cluster     string
	ErrorCode   string
	Error       string
}

// IssueTx is what the store knows of a request while it is decided.
type IssueTx struct {
	Request IssueRequest
	// Token is nil where the request's is not known; KeyUsedToken says that this key joined with it before.
	Token        *Token
	KeyUsedToken bool
	Certificates []Certificate
}

// IssueRecord is what an issuance changes beside its answer.
type IssueRecord struct {
	Certificate *Certificate
	CountUse    bool
	// RevokeOthers revokes the cluster's certificates of other keys.
	RevokeOthers bool
}

type tokenRow struct {
	bun.BaseModel `bun:"table:tokens,alias:tokens"`
	Hash          string `bun:",pk"`
	Namespace     string
	Cluster       string
	ClusterUID    string `bun:"cluster_uid"`
	Expires       int64
	Uses          int
	Rejoin        bool
}

type tokenUseRow struct {
	bun.BaseModel `bun:"table:token_uses,alias:token_uses"`
	Hash          string `bun:",pk"`
	PublicKeyHash string `bun:",pk"`
	Used          int64
}

type certificateRow struct {
	bun.BaseModel `bun:"table:certificates,alias:certificates"`
	Serial        string `bun:",pk"`
	ClusterUID    string `bun:"cluster_uid"`
	PublicKeyHash string
	Issued        int64
	Expires       int64
	Revoked       bool
}

type requestRow struct {
	bun.BaseModel `bun:"table:requests,alias:requests"`
	ID            string `bun:",pk"`
	Created       int64
	Kind          string
	TokenHash     string
	PublicKeyHash string
	CSR           []byte `bun:"csr"`
	ClusterUID    string `bun:"cluster_uid"`
	OldSerial     string
	AgentVersion  string
	Fingerprint   string
	Answer        string
}

func (r *requestRow) request() IssueRequest {
	return IssueRequest{ID: r.ID, Kind: r.Kind, TokenHash: r.TokenHash, PublicKeyHash: r.PublicKeyHash, CSR: r.CSR, ClusterUID: r.ClusterUID, OldSerial: r.OldSerial,
		AgentVersion: r.AgentVersion, Fingerprint: r.Fingerprint}
}

// PutToken writes a token; what of it was used stays.
func (s *Store) PutToken(ctx context.Context, token Token) error {
	have, err := s.token(ctx, s.reader, token.Hash)
	if err != nil {
		return err
	}
	if have != nil {
		token.Used, have.Expires, token.Expires = have.Used, have.Expires.Truncate(time.Second), token.Expires.UTC().Truncate(time.Second)
		if *have == token {
			return nil
		}
	}
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		row := &tokenRow{Hash: token.Hash, Namespace: token.Namespace, Cluster: token.Cluster, ClusterUID: token.ClusterUID,
			Expires: micros(token.Expires), Uses: token.Uses, Rejoin: token.Rejoin}
		_, err := tx.NewInsert().Model(row).On("CONFLICT (hash) DO UPDATE").Set("cluster_uid = EXCLUDED.cluster_uid").
			Set("expires = EXCLUDED.expires").Set("uses = EXCLUDED.uses").Set("rejoin = EXCLUDED.rejoin").Exec(ctx)
		return err
	})
}

// RevokeToken ends a token.
func (s *Store) RevokeToken(ctx context.Context, hash string) error {
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewDelete().Table("tokens").Where("hash = ?", hash).Exec(ctx)
		return err
	})
}

// Tokens of a namespace.
func (s *Store) Tokens(ctx context.Context, namespace string) ([]Token, error) {
	var rows []*tokenRow
	if err := s.reader.NewSelect().Model(&rows).Where("namespace = ?", namespace).Order("hash").Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot read tokens: %w", err)
	}
	var out []Token
	for _, row := range rows {
		token, err := s.withUses(ctx, s.reader, row)
		if err != nil {
			return nil, err
		}
		out = append(out, *token)
	}
	return out, nil
}

// token by hash; nil where there is none.
func (s *Store) token(ctx context.Context, db bun.IDB, hash string) (*Token, error) {
	row := &tokenRow{}
	err := db.NewSelect().Model(row).Where("hash = ?", hash).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.withUses(ctx, db, row)
}

func (s *Store) withUses(ctx context.Context, db bun.IDB, row *tokenRow) (*Token, error) {
	used, err := db.NewSelect().Model((*tokenUseRow)(nil)).Where("hash = ?", row.Hash).Count(ctx)
	if err != nil {
		return nil, err
	}
	return &Token{Hash: row.Hash, Namespace: row.Namespace, Cluster: row.Cluster, ClusterUID: row.ClusterUID,
		Expires: fromMicros(row.Expires), Uses: row.Uses, Rejoin: row.Rejoin, Used: int(used)}, nil
}

// RequestCertificate puts a request into the queue of the control role.
func (s *Store) RequestCertificate(ctx context.Context, r IssueRequest) error {
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		row := &requestRow{ID: r.ID, Created: micros(s.now()), Kind: r.Kind, TokenHash: r.TokenHash, PublicKeyHash: r.PublicKeyHash, CSR: r.CSR,
			ClusterUID: r.ClusterUID, OldSerial: r.OldSerial, AgentVersion: r.AgentVersion, Fingerprint: r.Fingerprint}
		_, err := tx.NewInsert().Model(row).Exec(ctx)
		return err
	})
}

// requestAge is how long a request waits at most; who asked has given up long before.
const requestAge = 5 * time.Minute

// PendingRequests are those without an answer, oldest first.
func (s *Store) PendingRequests(ctx context.Context) ([]IssueRequest, error) {
	var rows []*requestRow
	err := s.reader.NewSelect().Model(&rows).Where("answer = '' AND created > ?", micros(s.now().Add(-requestAge))).Order("created", "id").Limit(100).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot read requests for certificates: %w", err)
	}
	var out []IssueRequest
	for _, row := range rows {
		out = append(out, row.request())
	}
	return out, nil
}

// ClusterOf names the cluster that a request is about: by its token, or by the uid of the certificate that is renewed.
func (s *Store) ClusterOf(ctx context.Context, r IssueRequest) (namespace, name string, ok bool, err error) {
	if r.TokenHash != "" {
		token, err := s.token(ctx, s.reader, r.TokenHash)
		if err != nil || token == nil {
			return "", "", false, err
		}
		return token.Namespace, token.Cluster, true, nil
	}
	cluster, err := s.Cluster(ctx, r.ClusterUID)
	if errors.Is(err, ErrNotFound) {
		return "", "", false, nil
	}
	return cluster.Namespace, cluster.Name, err == nil, err
}

// Issue decides and answers a request in one transaction: the use of the token is counted (the same key again is no new use),
// the certificate recorded, the request answered. An answered request stays as it is.
func (s *Store) Issue(ctx context.Context, term uint64, id string, decide func(IssueTx) (IssueResult, IssueRecord, error)) error {
	err := s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := s.checkTerm(ctx, tx, term); err != nil {
			return err
		}
		row := &requestRow{}
		query := tx.NewSelect().Model(row).Where("id = ?", id)
		if s.postgres {
			query = query.For("UPDATE")
		}
		err := query.Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("request %q: %w", id, ErrNotFound)
		}
		if err != nil {
			return err
		}
		if row.Answer != "" {
			return nil
		}
		known, err := s.issueTx(ctx, tx, row)
		if err != nil {
			return err
		}
		result, record, err := decide(known)
		if err != nil {
			return err
		}
		if record.CountUse {
			use := &tokenUseRow{Hash: row.TokenHash, PublicKeyHash: row.PublicKeyHash, Used: micros(s.now())}
			if _, err := tx.NewInsert().Model(use).On("CONFLICT (hash, public_key_hash) DO NOTHING").Exec(ctx); err != nil {
				return err
			}
		}
		if c := record.Certificate; c != nil {
			issued := &certificateRow{Serial: c.Serial, ClusterUID: c.ClusterUID, PublicKeyHash: c.PublicKeyHash, Issued: micros(c.Issued),
				Expires: micros(c.Expires), Revoked: c.Revoked}
			if _, err := tx.NewInsert().Model(issued).Exec(ctx); err != nil {
				return err
			}
			if record.RevokeOthers {
				if _, err := tx.NewUpdate().Model((*certificateRow)(nil)).Set("revoked = ?", true).
					Where("cluster_uid = ? AND public_key_hash <> ?", c.ClusterUID, c.PublicKeyHash).Exec(ctx); err != nil {
					return err
				}
			}
		}
		answer, err := json.Marshal(result)
		if err != nil {
			return err
		}
		_, err = tx.NewUpdate().Model((*requestRow)(nil)).Set("answer = ?", string(answer)).Where("id = ?", id).Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot answer the request for a certificate: %w", err)
	}
	return nil
}

func (s *Store) issueTx(ctx context.Context, tx bun.Tx, row *requestRow) (IssueTx, error) {
	known := IssueTx{Request: row.request()}
	uid := row.ClusterUID
	if row.TokenHash != "" {
		if s.postgres {
			// Uses of one token are counted one after the other.
			if _, err := tx.ExecContext(ctx, "SELECT 1 FROM tokens WHERE hash = ? FOR UPDATE", row.TokenHash); err != nil {
				return known, err
			}
		}
		token, err := s.token(ctx, tx, row.TokenHash)
		if err != nil {
			return known, err
		}
		if known.Token = token; token != nil {
			uid = token.ClusterUID
			known.KeyUsedToken, err = tx.NewSelect().Model((*tokenUseRow)(nil)).
				Where("hash = ? AND public_key_hash = ?", row.TokenHash, row.PublicKeyHash).Exists(ctx)
			if err != nil {
				return known, err
			}
		}
	}
	var err error
	known.Certificates, err = s.certificates(ctx, tx, uid)
	return known, err
}

// IssueAnswer is the answer to a request, when it is there.
func (s *Store) IssueAnswer(ctx context.Context, id string) (result IssueResult, done bool, err error) {
	row := &requestRow{}
	err = s.reader.NewSelect().Model(row).Column("answer").Where("id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return result, false, fmt.Errorf("request %q: %w", id, ErrNotFound)
	}
	if err != nil {
		return result, false, fmt.Errorf("cannot read the answer to a request: %w", err)
	}
	if row.Answer == "" {
		return result, false, nil
	}
	return result, true, json.Unmarshal([]byte(row.Answer), &result)
}

// Certificates that were issued to a cluster's agents.
func (s *Store) Certificates(ctx context.Context, clusterUID string) ([]Certificate, error) {
	return s.certificates(ctx, s.reader, clusterUID)
}

func (s *Store) certificates(ctx context.Context, db bun.IDB, clusterUID string) ([]Certificate, error) {
	var rows []*certificateRow
	if err := db.NewSelect().Model(&rows).Where("cluster_uid = ?", clusterUID).Order("issued", "serial").Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot read certificates: %w", err)
	}
	var out []Certificate
	for _, row := range rows {
		out = append(out, Certificate{Serial: row.Serial, ClusterUID: row.ClusterUID, PublicKeyHash: row.PublicKeyHash,
			Issued: fromMicros(row.Issued), Expires: fromMicros(row.Expires), Revoked: row.Revoked})
	}
	return out, nil
}

// RevokeCertificates ends every certificate of a cluster that was issued before a time.
func (s *Store) RevokeCertificates(ctx context.Context, clusterUID string, before time.Time) error {
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewUpdate().Model((*certificateRow)(nil)).Set("revoked = ?", true).
			Where("cluster_uid = ? AND issued < ?", clusterUID, micros(before)).Exec(ctx); err != nil {
			return err
		}
		_, err := tx.NewUpdate().Model((*clusterRow)(nil)).Set("revoked_before = ?", micros(before)).
			Where("uid = ? AND revoked_before < ?", clusterUID, micros(before)).Exec(ctx)
		return err
	})
}

// RevokedBefore is the time before which a cluster's certificates do not count; ok is false where there is no such cluster.
func (s *Store) RevokedBefore(ctx context.Context, clusterUID string) (before time.Time, ok bool, err error) {
	row, err := s.clusterRow(ctx, s.reader, clusterUID)
	if errors.Is(err, ErrNotFound) {
		return time.Time{}, false, nil
	}
	if err != nil {
		return time.Time{}, false, err
	}
	return fromMicros(row.RevokedBefore), true, nil
}
