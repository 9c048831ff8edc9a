// Package admission evaluates the cluster's policies on what people and controllers write into it: a validating webhook. It is
// registered for the kinds that policies name, once there are policies and someone who answers, and for nothing else.
package admission

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/periplus-fleet/periplus/agent/policy"
	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/policies/engine"
)

const (
	// pathPrefix is followed by the failure policy of the webhook that asks.
	pathPrefix = "/policies/"
	// maxRequest is more than an API server takes of an object twice.
	maxRequest = 8 << 20
	// maxWarning is what API servers show of a warning, maxWarnings how many are worth reading.
	maxWarning  = 250
	maxWarnings = 10
)

// Config of a Server.
type Config struct {
	// Certificate that API servers are shown.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Namespaces are read for policies that select by their labels.
	Namespaces *policy.Namespaces
	// Found is told what policies said against requests, and must not block. Nil is told nothing.
	Found func([]Result)
	Now   func() time.Time
	Log   *slog.Logger
}

// Result is what a rule of a policy said against a request.
type Result struct {
	engine.Finding
	Object    content.ObjectID
	User      string
	Operation string
	Revision  content.Digest
	Time      time.Time
}

// Server answers API servers.
type Server struct {
	config    Config
	inForce   atomic.Pointer[policy.InForce]
	reviewers policy.Reviewers
}

// NewServer makes a server; it lets all pass until Use.
func NewServer(config Config) *Server {
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Server{config: config, reviewers: policy.Reviewers{Point: engine.PointAdmission, Now: config.Now}}
}

// Use has the server evaluate these policies from now on. Requests that are under way end with those before.
func (s *Server) Use(inForce policy.InForce) { s.inForce.Store(&inForce) }

// Serve answers until ctx ends; requests that are under way are answered.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	mux := http.NewServeMux()
	for _, failure := range []string{engine.FailurePolicyFail, engine.FailurePolicyIgnore} {
		mux.HandleFunc("POST "+pathPrefix+strings.ToLower(failure), func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, failure) })
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.config.Certificate},
		ErrorLog:  slog.NewLogLogger(s.config.Log.Handler(), slog.LevelDebug)}
	go func() {
		<-ctx.Done()
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(patience)
	}()
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("cannot answer for policies: %w", err)
	}
	return nil
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, failure string) {
	var review admissionv1.AdmissionReview
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	if err := decoder.Decode(&review); err != nil || review.Request == nil {
		http.Error(w, "the body is no AdmissionReview with a request", http.StatusBadRequest)
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	response, err := s.review(r.Context(), review.Request, failure)
	if err != nil {
		// The API server goes on as the webhook's failure policy says.
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	response.UID = review.Request.UID
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(admissionv1.AdmissionReview{TypeMeta: review.TypeMeta, Response: response})
}

func (s *Server) review(ctx context.Context, request *admissionv1.AdmissionRequest, failure string) (*admissionv1.AdmissionResponse, error) {
	allowed := &admissionv1.AdmissionResponse{Allowed: true}
	inForce := s.inForce.Load()
	if inForce == nil || inForce.Snapshot == nil || never(request.Kind.Group, request.Kind.Kind) {
		return allowed, nil
	}
	object, err := s.prepare(ctx, request)
	if err != nil {
		return nil, err
	}
	reviewer, err := s.reviewers.For(inForce)
	if err != nil {
		return nil, err
	}
	findings, err := reviewer.Review(ctx, object, "", nil)
	if err != nil {
		return nil, err
	}
	return s.judge(request, object.ID, inForce, mine(inForce.Snapshot, findings, failure)), nil
}

func (s *Server) prepare(ctx context.Context, request *admissionv1.AdmissionRequest) (*engine.Object, error) {
	admission := engine.Admission{Operation: string(request.Operation)}
	for _, part := range []struct {
		raw  []byte
		into *map[string]any
	}{{request.Object.Raw, &admission.Object}, {request.OldObject.Raw, &admission.OldObject}} {
		if len(part.raw) == 0 {
			continue
		}
		if err := json.Unmarshal(part.raw, part.into); err != nil {
			return nil, fmt.Errorf("cannot decode the object: %w", err)
		}
	}
	user, err := json.Marshal(request.UserInfo)
	if err == nil {
		err = json.Unmarshal(user, &admission.UserInfo)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot decode who asks: %w", err)
	}
	if request.Namespace != "" && request.Kind.Kind != "Namespace" {
		if admission.Namespace, err = s.config.Namespaces.Get(ctx, request.Namespace); err != nil {
			s.config.Log.Debug("cannot read a namespace", "namespace", request.Namespace, "error", err)
		}
	}
	return engine.PrepareAdmission(admission, request.Namespace)
}

// mine are the findings of policies with a failure policy: two webhooks may ask about one request.
func mine(snapshot *engine.Snapshot, findings []engine.Finding, failure string) []engine.Finding {
	if len(findings) == 0 {
		return nil
	}
	of := map[string]string{}
	for _, p := range snapshot.Policies() {
		of[p.Name] = p.Metadata.FailurePolicy
	}
	var out []engine.Finding
	for _, f := range findings {
		if of[f.Policy] == failure {
			out = append(out, f)
		}
	}
	return out
}

// judge makes the answer of the findings, and tells of them.
func (s *Server) judge(request *admissionv1.AdmissionRequest, id content.ObjectID, inForce *policy.InForce, findings []engine.Finding) *admissionv1.AdmissionResponse {
	response := &admissionv1.AdmissionResponse{Allowed: true}
	var denials []string
	var results []Result
	for _, f := range findings {
		results = append(results, Result{Finding: f, Object: id, User: request.UserInfo.Username, Operation: string(request.Operation),
			Revision: inForce.Revision, Time: s.config.Now()})
		switch {
		case f.Denies():
			denials = append(denials, f.Sentence(id))
		case f.Result == engine.ResultWarn || f.Action == "warn" && f.Result != engine.ResultSkip:
			response.Warnings = warn(response.Warnings, f.Sentence(id))
		}
	}
	if len(denials) > 0 {
		response.Allowed = false
		response.Result = &metav1.Status{Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden,
			Message: strings.Join(denials, "; ")}
	}
	if len(results) > 0 && s.config.Found != nil && (request.DryRun == nil || !*request.DryRun) {
		s.config.Found(results)
	}
	return response
}

func warn(warnings []string, text string) []string {
	if len(warnings) == maxWarnings {
		return warnings
	}
	if len(text) > maxWarning {
		text = strings.ToValidUTF8(text[:maxWarning], "") + "..."
	}
	return append(warnings, text)
}

// never says which kinds no policy may stand in the way of: what keeps nodes and leaders alive, and what asks about rights.
func never(group, kind string) bool {
	switch group {
	case "":
		return kind == "Node" || kind == "Event" || kind == "Binding"
	case "certificates.k8s.io", "coordination.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "events.k8s.io", "metrics.k8s.io":
		return true
	}
	return false
}
