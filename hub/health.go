package hub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// serveHealth answers /healthz, /readyz and /metrics.
func (h *hub) serveHealth(ctx context.Context) error {
	if h.cfg.HealthAddress == "" {
		<-ctx.Done()
		return nil
	}
	listener, err := net.Listen("tcp", h.cfg.HealthAddress)
	if err != nil {
		return fmt.Errorf("cannot listen for health checks: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", h.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(h.metrics, promhttp.HandlerOpts{}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// readyz says which part is not ready and why.
func (h *hub) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, role := range []string{RoleLink, RoleAPI} {
		if !slices.Contains(h.cfg.Roles, role) {
			continue
		}
		check := h.ready[role]
		var err error
		if check == nil {
			err = errors.New("starting")
		} else {
			err = check(ctx)
		}
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintf(w, "%s: %v\n", role, err)
			return
		}
	}
	_, _ = w.Write([]byte("ok\n"))
}
