package link

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/periplus-fleet/periplus/hub/identity"
)

// Run looks for what changed until ctx ends: which clusters' sets moved, whether the store began a new epoch, who was heard,
// and whose certificate ended. Hints make it prompt; without them it is a second late.
func (s *Service) Run(ctx context.Context) error {
	poll, touch, recheck := time.NewTicker(s.config.Poll), time.NewTicker(s.config.Heartbeat), time.NewTicker(s.config.Recheck)
	defer poll.Stop()
	defer touch.Stop()
	defer recheck.Stop()
	hints := s.config.Store.Hints()
	flushed := time.Now()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case uid, open := <-hints:
			if !open {
				hints = nil
			} else if st := s.streamOf(uid); st != nil {
				st.pokeCommands()
			}
		case <-poll.C:
			err = s.pollOnce(ctx)
		case <-touch.C:
			since := flushed
			flushed = time.Now()
			err = s.touch(ctx, since)
		case <-recheck.C:
			s.recheck(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.config.Log.Warn("cannot look for changes", "error", err)
		}
	}
}

func (s *Service) streamOf(uid string) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.streams[uid]
}

func (s *Service) current() []*stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*stream, 0, len(s.streams))
	for _, st := range s.streams {
		list = append(list, st)
	}
	return list
}

func (s *Service) pollOnce(ctx context.Context) error {
	meta, err := s.config.Store.Meta(ctx)
	if err != nil {
		return err
	}
	streams := s.current()
	if before := s.meta.Swap(&meta); before != nil && *before != meta {
		for _, st := range streams {
			st.poke()
		}
		return nil
	}
	if len(streams) == 0 {
		return nil
	}
	sent, byUID := make(map[string]uint64, len(streams)), make(map[string]*stream, len(streams))
	for _, st := range streams {
		sent[st.agent.UID], byUID[st.agent.UID] = st.generation.Load(), st
	}
	moved, err := s.config.Store.Moved(ctx, sent)
	if err != nil {
		return err
	}
	for _, uid := range moved {
		byUID[uid].poke()
	}
	return nil
}

// touch writes in one go who was heard since the last time.
func (s *Service) touch(ctx context.Context, since time.Time) error {
	seen := map[string]time.Time{}
	for _, st := range s.current() {
		if at := time.Unix(0, st.heard.Load()); at.After(since) {
			seen[st.agent.UID] = at
		}
	}
	if len(seen) == 0 {
		return nil
	}
	return s.config.Store.Touch(ctx, seen)
}

// recheck ends streams whose certificate was revoked or has expired since.
func (s *Service) recheck(ctx context.Context) {
	for _, st := range s.current() {
		_, err := s.config.Verifier.Verify(ctx, st.agent.Certificate)
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, identity.ErrRevoked):
			st.end(codes.PermissionDenied, err.Error())
		case time.Now().After(st.agent.Certificate.NotAfter):
			st.end(codes.Unauthenticated, err.Error())
		default:
			s.config.Log.Warn("cannot judge a certificate again", "cluster", st.agent.Cluster(), "error", err)
		}
	}
}
