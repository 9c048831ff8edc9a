package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// ErrNoAnswer says that the control role did not answer in time.
var ErrNoAnswer = errors.New("no control process answered the request for a certificate")

const (
	askPoll     = 50 * time.Millisecond
	askPatience = 20 * time.Second
)

// Ask puts a request into the queue and waits for its answer. Asking again is a new request: a refusal is not for ever, and
// the same key joining again with the same token counts as one use.
func Ask(ctx context.Context, asker Asker, request Request) (Result, error) {
	raw := make([]byte, 16)
	rand.Read(raw)
	request.ID = hex.EncodeToString(raw)
	if err := asker.RequestCertificate(ctx, request); err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	ticker := time.NewTicker(askPoll)
	defer ticker.Stop()
	for {
		result, done, err := asker.IssueAnswer(ctx, request.ID)
		if err != nil || done {
			return result, err
		}
		select {
		case <-ctx.Done():
			return Result{}, ErrNoAnswer
		case <-ticker.C:
		}
	}
}

// Server keeps a hub process's server certificate: it is asked for at the start and anew at two thirds of its life.
type Server struct {
	asker   Asker
	names   []string
	log     *slog.Logger
	current atomic.Pointer[tls.Certificate]
}

// NewServer makes a Server for the names (DNS or IP) that the process is reached by.
func NewServer(asker Asker, names []string, log *slog.Logger) *Server {
	return &Server{asker: asker, names: names, log: log}
}

// Obtain asks for a certificate once.
func (s *Server) Obtain(ctx context.Context) error {
	key, csr, err := NewRequest(s.names)
	if err != nil {
		return err
	}
	hash, err := KeyHash(csr)
	if err != nil {
		return err
	}
	result, err := Ask(ctx, s.asker, Request{Kind: KindServer, CSR: csr, PublicKeyHash: hash})
	if err != nil {
		return fmt.Errorf("cannot get the server certificate: %w", err)
	}
	if result.ErrorCode != "" {
		return fmt.Errorf("cannot get the server certificate: %s", result.Error)
	}
	certificate, err := certificateOf(result.Certificate, key)
	if err != nil {
		return err
	}
	s.current.Store(certificate)
	return nil
}

func certificateOf(chain []byte, key *ecdsa.PrivateKey) (*tls.Certificate, error) {
	certificate := &tls.Certificate{PrivateKey: key, Certificate: pemBlocks(chain)}
	if len(certificate.Certificate) == 0 {
		return nil, errors.New("cannot read the certificate: it is no PEM")
	}
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("cannot read the certificate: %w", err)
	}
	certificate.Leaf = leaf
	return certificate, nil
}

// Run keeps the certificate fresh until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	for {
		wait := askPoll
		if current := s.current.Load(); current != nil {
			life := current.Leaf.NotAfter.Sub(current.Leaf.NotBefore)
			wait = max(time.Until(current.Leaf.NotBefore.Add(life*2/3)), 0)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		if err := s.Obtain(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("the server certificate is not renewed yet", "error", err)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(time.Second):
			}
		}
	}
}

// Certificate is for tls.Config.GetCertificate.
func (s *Server) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if current := s.current.Load(); current != nil {
		return current, nil
	}
	return nil, errors.New("this process has no server certificate yet")
}
